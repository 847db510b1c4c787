// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"
)

// S3Config says where a bucket is. Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// AWS_SESSION_TOKEN) or from the machine's own identity.
type S3Config struct {
	Endpoint string // https://s3.example.com, without a path
	Bucket   string
	Prefix   string // without slashes at its ends; may be empty
	Region   string // when empty, us-east-1
}

// defaultRegion is what servers expect that have no regions.
const defaultRegion = "us-east-1"

// emptyBody is the SHA-256 of no bytes, which a signed request names.
const emptyBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// NewS3 reads a prefix of a bucket, with path-style URLs.
func NewS3(cfg S3Config) (*Origin, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, errors.New("S3 endpoint: expected a URL such as https://s3.example.com, without user name and path")
	}
	if cfg.Bucket == "" {
		return nil, errors.New("S3 bucket: expected a name")
	}
	base := u.Scheme + "://" + u.Host + "/" + cfg.Bucket + "/"
	if prefix := strings.Trim(cfg.Prefix, "/"); prefix != "" {
		base += prefix + "/"
	}
	transport := newTransport()
	return &Origin{base: base, client: &http.Client{
		Transport: &signing{
			next: transport, region: cmp.Or(cfg.Region, defaultRegion),
			keys: credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{}}),
			ctx:  &credentials.CredContext{Client: &http.Client{Transport: transport, Timeout: headerTimeout}},
		},
		// A redirect would need another signature, and tells that the endpoint or region is wrong.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// signing signs requests by AWS Signature Version 4.
type signing struct {
	next   http.RoundTripper
	region string
	keys   *credentials.Credentials
	ctx    *credentials.CredContext
}

// RoundTrip implements http.RoundTripper.
func (s *signing) RoundTrip(req *http.Request) (*http.Response, error) {
	key, err := s.keys.GetWithContext(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("get credentials of the object store: %w", err)
	}
	signed := req.Clone(req.Context())
	signed.Header.Set("X-Amz-Content-Sha256", emptyBody)
	return s.next.RoundTrip(signer.SignV4(*signed, key.AccessKeyID, key.SecretAccessKey, key.SessionToken, s.region))
}
