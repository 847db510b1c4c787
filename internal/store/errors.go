// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/minio/minio-go/v7"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Answers that the package handles itself.
var (
	errNotModified    = errors.New("not modified")
	errCondition      = errors.New("condition of the write failed")
	errUnordered      = errors.New("conflicting conditional writes")
	errNotImplemented = errors.New("not implemented by the object store")
	errBroken         = errors.New("answer broke off")
)

// codes maps error codes of S3 to what they mean here. Servers that answer without a body are judged by status.
var codes = map[string]error{
	"NoSuchKey":                  ErrNotExist,
	"NoSuchVersion":              ErrNotExist,
	"PreconditionFailed":         errCondition,
	"ConditionalRequestConflict": errUnordered, // two conditional writes at once: try again
	"NotImplemented":             errNotImplemented,
}

var denied = map[string]bool{
	"AccessDenied": true, "InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "ExpiredToken": true,
	"InvalidToken": true, "AllAccessDisabled": true, "RequestTimeTooSkewed": true, "AccountProblem": true,
	"XAdminUserNotFound": true, // versitygw, with status 404
}

// fail turns an error of the library into one that carries its handling. The text is stable, for conditions.
func (b *Bucket) fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	res, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		return b.unreachable(op, key, err)
	}
	known := codes[res.Code]
	switch {
	case res.Code == "NoSuchBucket":
		return kit.Retry(otav1alpha1.BucketNotFoundReason, "bucket %q does not exist: create it, or correct spec.storage", b.bucket)
	case known != nil:
		return fmt.Errorf("%s %s: %w", op, key, known)
	case denied[res.Code], res.StatusCode == http.StatusForbidden, res.StatusCode == http.StatusUnauthorized:
		return kit.Retry(otav1alpha1.StorageAccessDeniedReason,
			"object store refused to %s in bucket %q (%s): check the credentials and their rights", op, b.bucket, res.Code)
	}
	return b.failStatus(op, key, res)
}

func (b *Bucket) failStatus(op, key string, res minio.ErrorResponse) error {
	switch res.StatusCode {
	case http.StatusNotModified:
		return errNotModified
	case http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", op, key, errCondition)
	case http.StatusNotImplemented:
		return fmt.Errorf("%s %s: %w", op, key, errNotImplemented)
	}
	return kit.Retry(otav1alpha1.StorageUnreachableReason, "object store answered %s with status %d (%s)", op, res.StatusCode, res.Code)
}

// unreachable words a failure without an answer: no addresses of this side and no ports, which change.
func (b *Bucket) unreachable(op, key string, err error) error {
	host := b.core.EndpointURL().Host
	if denied, ok := errors.AsType[*egress.DeniedError](err); ok {
		if denied.Literal() {
			return kit.Stall(otav1alpha1.AddressDeniedReason, "object store %s is not asked: %w", host, denied)
		}
		return kit.Retry(otav1alpha1.AddressDeniedReason, "object store %s is not asked: %w", host, denied)
	}
	if _, ok := errors.AsType[net.Error](err); !ok && !isNetwork(err) {
		// Credentials that cannot be had, a local reader that failed: say it as it is.
		return kit.Retry(otav1alpha1.StorageUnreachableReason, "%s %s: %w", op, key, err)
	}
	return &kit.Error{
		Class: kit.Transient, Reason: otav1alpha1.StorageUnreachableReason,
		Err: &quiet{text: fmt.Sprintf("object store %s did not answer %s: %s", host, op, cause(err)), err: err},
	}
}

func isNetwork(err error) bool {
	_, isURL := errors.AsType[*url.Error](err)
	return isURL || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// broken is a body that ended too soon.
func (b *Bucket) broken(key string, err error) error {
	return kit.Retry(otav1alpha1.StorageUnreachableReason, "get %s: %w: %s", key, errBroken, cause(err))
}

// quiet has a stable text and keeps its cause for errors.Is.
type quiet struct {
	text string
	err  error
}

func (q *quiet) Error() string { return q.text }
func (q *quiet) Unwrap() error { return q.err }
