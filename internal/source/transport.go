// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
)

// newTransport is the one place where connections to sources are made.
func newTransport(opts Options) *http.Transport {
	return &http.Transport{
		Proxy:                  opts.Egress.Proxy,
		DialContext:            opts.Egress.DialContext(&net.Dialer{Timeout: opts.Connect}),
		TLSClientConfig:        &tls.Config{RootCAs: opts.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    opts.Connect,
		ResponseHeaderTimeout:  opts.Answer,
		IdleConnTimeout:        time.Minute,
		MaxIdleConnsPerHost:    2,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10,
		DisableCompression:     true, // the digest is that of the bytes as they are kept
		ForceAttemptHTTP2:      true,
	}
}

// Why a transfer was cut by us.
var (
	errTooSlow = errors.New("it took longer than the time that an artifact is given")
	errIdle    = errors.New("no data came for too long")
	errTrickle = errors.New("it came slower than the least rate that the server is held to")
)

// failed types an error of a connection, or of an answer that never came.
func failed(ctx context.Context, src Source, err error) error {
	if denied, ok := errors.AsType[*egress.DeniedError](err); ok {
		return refused(src, denied)
	}
	return kit.Retry(otav1alpha1.FetchFailedReason, "%s could not be fetched: %s", src, describe(ctx, err))
}

// refused tells of an address that no connection was made to. One that the source names itself stays what it is; what a name
// leads to, and where a server redirects to, may change. A host that a server named is not repeated.
func refused(src Source, denied *egress.DeniedError) error {
	host := src.host()
	switch {
	case !strings.EqualFold(denied.Host, host) && !strings.HasSuffix(denied.Host, "."+host):
		return kit.Retry(otav1alpha1.AddressDeniedReason,
			"%s leads to another host, which is %s: the manager connects only to public addresses and to those of --allow-address", src, denied.Why)
	case denied.Literal():
		return kit.Stall(otav1alpha1.AddressDeniedReason, "%s cannot be fetched: %w", src, denied)
	}
	return kit.Retry(otav1alpha1.AddressDeniedReason, "%s cannot be fetched: %w", src, denied)
}

// describe says in stable words what went wrong: texts of package net have addresses and ports in them that change with
// every try, and those of package url the query.
func describe(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil {
		switch {
		case errors.Is(cause, errTooSlow), errors.Is(cause, errIdle):
			return cause.Error()
		default:
			return "the transfer was cancelled"
		}
	}
	for _, known := range []error{errRedirects, errScheme, errUserinfo, errTrickle} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if text := describeTLS(err); text != "" {
		return text
	}
	return describeNet(err)
}

func describeTLS(err error) string {
	if e, ok := errors.AsType[x509.HostnameError](err); ok && e.Certificate != nil {
		return "its TLS certificate is for another host"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its TLS certificate is signed by an unknown authority"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "its TLS certificate has expired or is not valid yet"
		}
		return "its TLS certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its TLS certificate cannot be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS"
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return "the TLS handshake was refused"
	}
	return ""
}

func describeNet(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "its host name is not known"
		}
		return "its host name could not be looked up"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "the server did not answer in time"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the server cannot be reached"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection ended too early"
	}
	return "the connection failed"
}
