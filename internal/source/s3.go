// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// defaultRegion is what most S3-compatible servers ignore. With a region set, no request is needed to find it out.
const defaultRegion = "us-east-1"

// S3 is an object in an S3-compatible object store. Without AccessKeyID it is read anonymously.
type S3 struct {
	Endpoint        string // http(s)://host[:port]
	Bucket          string
	Key             string
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
}

// String names the object.
func (s S3) String() string { return "object s3://" + s.Bucket + "/" + s.Key }

func (s S3) host() string { return HTTP{URL: s.Endpoint}.host() }

func (s S3) open(ctx context.Context, c *Client) (io.ReadCloser, int64, error) {
	endpoint, err := url.Parse(s.Endpoint)
	if err != nil || endpoint.Host == "" {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "the endpoint of the source cannot be read: expected a URL such as https://s3.example.com")
	}
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, s.SessionToken), // anonymous when empty
		Secure:     endpoint.Scheme == "https",
		Transport:  c.transport,
		Region:     cmp.Or(s.Region, defaultRegion),
		MaxRetries: 1, // the controller retries
	})
	if err != nil {
		return nil, 0, kit.Stall(otav1alpha1.InvalidSpecReason, "the endpoint of the source is not one of an object store")
	}
	raw, info, _, err := core.GetObject(ctx, s.Bucket, s.Key, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, s.failed(ctx, err)
	}
	return raw, info.Size, nil
}

// s3Codes are error codes of S3 that tell more than the status. The code comes from the server, and is compared but not shown.
var s3Codes = map[string]int{
	"NoSuchKey": http.StatusNotFound, "NoSuchBucket": http.StatusNotFound,
	"AccessDenied": http.StatusForbidden, "InvalidAccessKeyId": http.StatusForbidden, "SignatureDoesNotMatch": http.StatusForbidden,
	"XAdminUserNotFound": http.StatusForbidden, // versitygw answers an unknown access key with this and 404
	"ExpiredToken":       http.StatusForbidden, "InvalidToken": http.StatusForbidden,
}

// failed types an error by its code and status.
func (s S3) failed(ctx context.Context, err error) error {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	switch {
	case ok && answer.Code == "InvalidBucketName", ok && answer.StatusCode == 0: // refused by the library, without a request
		return kit.Stall(otav1alpha1.InvalidSpecReason, "%s cannot be asked for: its bucket or key is malformed", s)
	case ok:
		return statusError(s, cmp.Or(s3Codes[answer.Code], answer.StatusCode))
	}
	return failed(ctx, s, err)
}
