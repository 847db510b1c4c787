// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
)

const (
	// maxHeaders of a Secret.
	maxHeaders = 32
	// maxValues is how many bytes the values of all headers of a Secret may have.
	maxValues = 16 << 10
)

// reserved headers belong to the connection and to the request itself. With some of them one request could be made to look like two.
var reserved = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Forwarded", "Host", "Http2-Settings",
	"Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
}

// Secrets reads headers from Secrets.
type Secrets struct {
	Live   client.Reader // not a cache: the manager neither lists nor watches Secrets
	Egress egress.Policy
}

// Headers implements the interface of this name. Each key of a Secret is the name of a header, its value that of the header; blanks
// and line ends around it are not part of it.
func (s Secrets) Headers(ctx context.Context, namespace, name string, to *url.URL) (http.Header, error) {
	secret := &corev1.Secret{}
	patient, cancel := context.WithTimeout(ctx, fetch.Timeout)
	defer cancel()
	err := s.Live.Get(patient, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case apierrors.IsNotFound(err):
		return nil, fault("there is no Secret %s, which web.headersSecretRef names", name)
	case err != nil:
		return nil, fault("Secret %s cannot be read: %s", name, cmp.Or(string(apierrors.ReasonForError(err)), "the API server did not answer"))
	}
	if err := kit.MayBeShown(secret, to.String()); err != nil {
		return nil, fault("%w", err)
	}
	if to.Scheme == "http" && !s.Egress.Lists(to.Host) {
		return nil, fault("%s would be asked without TLS, which shows the headers of Secret %s to the network: "+
			"expected an https URL, or the manager started with --allow-address=%s", to.Host, name, to.Host)
	}
	header, err := read(secret.Data)
	if err != nil {
		return nil, fault("Secret %s: %w", name, err)
	}
	return header, nil
}

// read turns the data of a Secret into headers.
func read(data map[string][]byte) (http.Header, error) {
	if len(data) == 0 || len(data) > maxHeaders {
		return nil, fmt.Errorf("expected 1 to %d keys, which are the names of headers, got %d", maxHeaders, len(data))
	}
	header, size := http.Header{}, 0
	for _, key := range slices.Sorted(maps.Keys(data)) {
		name, value := textproto.CanonicalMIMEHeaderKey(key), strings.TrimSpace(string(data[key]))
		size += len(value)
		switch {
		case !httpguts.ValidHeaderFieldName(key):
			return nil, fmt.Errorf("key %.64q is no name of a header", key)
		case slices.Contains(reserved, name), strings.HasPrefix(name, "X-Forwarded-"):
			return nil, fmt.Errorf("header %s cannot be set: it belongs to the connection or to the request", name)
		case header[name] != nil:
			return nil, fmt.Errorf("header %s is there twice, in upper and lower case", name)
		case value == "" || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("the value of key %s is no value of a header: expected one line of text", key)
		case size > maxValues:
			return nil, fmt.Errorf("its values have more than %d bytes", maxValues)
		}
		header[name] = []string{value}
	}
	return header, nil
}

func fault(format string, args ...any) error {
	return &query.ProviderError{Reason: fmt.Errorf(format, args...).Error()}
}
