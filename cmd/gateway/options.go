// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/gateway/auth"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/netaddr"
	"github.com/windlass-dev/windlass/internal/gateway/origin"
)

// options are the flags of the gateway.
type options struct {
	listen, internalListen string
	root                   string
	metadataURL            string
	s3                     origin.S3Config
	dsnFile                string
	jwt                    auth.JWT
	certificates           auth.Certificates
	logLevel               slog.Level
	server                 gateway.Config
}

const usage = `gateway answers devices from a Repository's signed metadata, and counts what they report.

  gateway --root root.json --s3-endpoint https://s3.example.com --s3-bucket updates --s3-prefix mobile --cache-dir /var/cache/windlass

Flags:
`

// parse reads the command line.
func parse(args []string) (*options, error) {
	o := &options{}
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.server.Log = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	o.server.BaseURL = strings.TrimSuffix(o.server.BaseURL, "/")
	if err := errors.Join(o.validate(f.Args()), o.validateLedger(), o.validateLimits(), o.validateTLS(), o.validateAuth()); err != nil {
		return nil, err
	}
	return o, nil
}

// flags declares all of them.
func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("gateway", flag.ContinueOnError)
	f.Usage = func() { _, _ = f.Output().Write([]byte(usage)); f.PrintDefaults() }
	for _, group := range []func(*flag.FlagSet){o.listenerFlags, o.repositoryFlags, o.ledgerFlags, o.limitFlags, o.tlsFlags, o.authFlags} {
		group(f)
	}
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	return f
}

func (o *options) listenerFlags(f *flag.FlagSet) {
	c := &o.server
	f.StringVar(&o.listen, "listen", ":8080", "address for devices")
	f.StringVar(&o.internalListen, "internal-listen", "127.0.0.1:8081", "address for probes, /metrics, counts and explain; keep it off the internet")
	f.StringVar(&c.TokenFile, "counts-token-file", "", "file with the bearer token of /internal/v1/counts and /internal/v1/explain; without it nobody gets them")
	f.StringVar(&c.BaseURL, "public-base-url", "", "URL at which devices reach --listen, for artifact URLs; by default as each request came in")
	f.DurationVar(&c.NextCheck, "next-check", 0, "when devices are asked to check again; 0: as their app has it")
	f.DurationVar(&c.DrainDelay, "drain-delay", 3*time.Second, "time between losing readiness and closing the listeners, on SIGTERM")
}

func (o *options) repositoryFlags(f *flag.FlagSet) {
	f.StringVar(&o.root, "root", "", "file with the TUF root of trust of the Repository (required)")
	f.StringVar(&o.metadataURL, "metadata-url", "", "URL of the Repository's prefix, when a web server serves it; else give --s3-endpoint")
	f.StringVar(&o.s3.Endpoint, "s3-endpoint", "", "S3 endpoint, such as https://s3.example.com; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the machine's identity")
	f.StringVar(&o.s3.Bucket, "s3-bucket", "", "bucket of the Repository")
	f.StringVar(&o.s3.Prefix, "s3-prefix", "", "prefix of the Repository in the bucket")
	f.StringVar(&o.s3.Region, "s3-region", "us-east-1", "region of the bucket")
	f.StringVar(&o.server.CacheDir, "cache-dir", "", "folder that keeps verified metadata, so that a restart serves without the bucket and never goes back to an older state, and the ledger; recommended")
	f.DurationVar(&o.server.PollInterval, "poll-interval", time.Second, "time between looks for new metadata")
}

func (o *options) ledgerFlags(f *flag.FlagSet) {
	c := &o.server.Ledger
	f.StringVar(&c.Path, "ledger", "", "SQLite file of what devices were offered and how it went; by default ledger.db in --cache-dir, and without that in memory")
	f.StringVar(&o.dsnFile, "ledger-dsn-file", "", "file with the URL of a PostgreSQL database in place of SQLite, such as postgres://user:password@host/windlass; replicas that share one count as one gateway")
	f.StringVar(&c.KeyFile, "device-key-file", "", "file with a key of at least 32 bytes, such as of openssl rand -hex 32, from which devices get their pseudonyms; required with --ledger-dsn-file, else it is made beside the SQLite file. With another key all devices are unknown")
	f.DurationVar(&o.server.LedgerWait, "ledger-wait", 5*time.Minute, "for how long a gateway that started while its PostgreSQL is away is not ready, since it does not know what failed on devices; 0: it is ready at once")
	f.DurationVar(&c.Retention, "ledger-retention", 90*24*time.Hour, "how long a device's row is kept after the last thing that happened to it")
	f.DurationVar(&c.ReadyTime, "ready-time", 30*time.Second, "how long a device has to run a bundle until a check from it proves that it is well")
	f.IntVar(&c.NetworkMinimum, "network-votes-minimum", 20, "devices of one network (/24 of IPv4, /48 of IPv6) that always have a vote on a bundle")
	f.Float64Var(&c.NetworkShare, "network-votes-share", 0.05, "share of all votes on a bundle that one network may have beyond the minimum; 1: no limit")
}

func (o *options) limitFlags(f *flag.FlagSet) {
	c := &o.server
	f.Func("trusted-proxies", "networks of the proxies in front of --listen, such as 10.0.0.0/8,fd00::/8: only these are believed in where a request comes from; empty: none is", func(list string) (err error) {
		c.Edge.Proxies.Trusted, err = netaddr.ParseTrusted(list)
		return err
	})
	f.StringVar(&c.Edge.Proxies.Header, "proxy-header", netaddr.XForwardedFor, "header that --trusted-proxies write: "+netaddr.XForwardedFor+" or "+netaddr.Forwarded)
	f.StringVar(&c.Edge.Proxies.RegionHeader, "region-header", "", "header in which --trusted-proxies tell the region of a client, such as CF-IPCountry; they must set it in each request. Empty: regions are not told")
	budgetFlags(f, "checks", &c.Edge.Limits.Checks, limit.Budget{PerSecond: 500, Burst: 5000})
	budgetFlags(f, "reports", &c.Edge.Limits.Reports, limit.Budget{PerSecond: 500, Burst: 5000})
	f.IntVar(&c.Edge.Limits.Networks, "rate-limit-networks", limit.DefaultNetworks, "networks that the rate limits tell apart; one takes about 200 bytes for checks and for reports each")
	f.IntVar(&c.Edge.Limits.MaxInFlight, "max-in-flight", 1024, "checks, and reports, that are worked on at a time; further ones are told that nothing is new, or to come again; 0: no limit")
	f.IntVar(&c.Edge.Limits.MaxDownloads, "max-downloads", 512, "artifacts that are streamed at a time, in about 150 KiB of memory each; further ones are told to come again; 0: no limit")
}

func budgetFlags(f *flag.FlagSet, what string, b *limit.Budget, byDefault limit.Budget) {
	f.Float64Var(&b.PerSecond, what+"-per-second", byDefault.PerSecond, what+" that one network may send each second in the long run; 0: no limit")
	f.IntVar(&b.Burst, what+"-burst", byDefault.Burst, what+" that one network may send at once")
}

func (o *options) tlsFlags(f *flag.FlagSet) {
	c := &o.server.TLS
	f.StringVar(&c.Cert, "tls-cert", "", "file with the certificate of --listen and its chain, in PEM; it is read again when it changes; empty: plain HTTP, for a proxy that ends TLS")
	f.StringVar(&c.Key, "tls-key", "", "file with the private key of --tls-cert, in PEM")
	f.DurationVar(&o.server.HSTS, "hsts", 365*24*time.Hour, "for how long browsers are told to come by TLS only, with --tls-cert; 0: they are not")
	f.StringVar(&c.ClientCA, "client-ca", "", "file with the authorities of the devices' certificates, in PEM, for --device-auth")
}

func (o *options) authFlags(f *flag.FlagSet) {
	o.server.Edge.Auth.Mode = auth.Off
	f.TextVar(&o.server.Edge.Auth.Mode, "device-auth", auth.Off, "off, optional (a device that proves who it is has its vote whatever its network) or required (others are refused)")
	f.StringVar(&o.jwt.Issuer, "jwt-issuer", "", "issuer of the devices' tokens, as in iss")
	f.StringVar(&o.jwt.Audience, "jwt-audience", "", "audience of the devices' tokens, one of aud")
	f.StringVar(&o.jwt.JWKSURL, "jwks-url", "", "https URL of the issuer's keys")
	f.StringVar(&o.jwt.Claim, "jwt-device-claim", "sub", "claim that has the device's id")
	f.StringVar(&o.certificates.URIPrefix, "client-cert-uri-prefix", "", "what comes before the device's id in a URI of its certificate, such as spiffe://example.org/device/; empty: its id is the common name")
}

func (o *options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("expected flags only, got %q", rest)
	case o.root == "":
		return errors.New("--root is required: the file with the TUF root of trust")
	case (o.metadataURL == "") == (o.s3.Endpoint == ""):
		return errors.New("give either --metadata-url or --s3-endpoint with --s3-bucket")
	case o.server.PollInterval < 10*time.Millisecond:
		return fmt.Errorf("--poll-interval: expected at least 10ms, got %s", o.server.PollInterval)
	}
	return nil
}

// Bounds of the ledger's times: below them the flag was surely meant otherwise.
const (
	minRetention = 24 * time.Hour
	minReadyTime = time.Second
)

func (o *options) validateLedger() error {
	c := &o.server.Ledger
	switch {
	case c.Path != "" && o.dsnFile != "":
		return errors.New("give either --ledger or --ledger-dsn-file, not both")
	case o.dsnFile != "" && c.KeyFile == "":
		return errors.New("--ledger-dsn-file needs --device-key-file: replicas that share a ledger have to know a device by the same pseudonym")
	case c.Retention < minRetention:
		return fmt.Errorf("--ledger-retention: expected at least %s, got %s", minRetention, c.Retention)
	case o.server.LedgerWait < 0:
		return fmt.Errorf("--ledger-wait: expected 0 or more, got %s", o.server.LedgerWait)
	case c.ReadyTime < minReadyTime:
		return fmt.Errorf("--ready-time: expected at least %s, got %s", minReadyTime, c.ReadyTime)
	case c.NetworkMinimum < 1:
		return fmt.Errorf("--network-votes-minimum: expected at least 1, got %d", c.NetworkMinimum)
	case c.NetworkShare <= 0 || c.NetworkShare > 1:
		return fmt.Errorf("--network-votes-share: expected more than 0 and at most 1, got %g", c.NetworkShare)
	}
	return nil
}

func (o *options) validateLimits() error {
	c := &o.server.Edge.Limits
	for name, b := range map[string]*limit.Budget{"checks": &c.Checks, "reports": &c.Reports} {
		switch {
		case b.PerSecond < 0:
			return fmt.Errorf("--%s-per-second: expected 0 or more, got %g", name, b.PerSecond)
		case b.PerSecond == 0: // without limit
			*b = limit.Budget{}
		case b.Burst < 1:
			return fmt.Errorf("--%s-burst: expected at least 1, got %d", name, b.Burst)
		}
	}
	if p := &o.server.Edge.Proxies; p.RegionHeader != "" && len(p.Trusted) == 0 {
		return errors.New("--region-header needs --trusted-proxies: whoever may write the header chooses his own region")
	}
	if c.Networks < 1 || c.MaxInFlight < 0 || c.MaxDownloads < 0 {
		return fmt.Errorf("--rate-limit-networks, --max-in-flight and --max-downloads: expected at least 1, 0 and 0, got %d, %d and %d",
			c.Networks, c.MaxInFlight, c.MaxDownloads)
	}
	return nil
}

func (o *options) validateTLS() error {
	files := &o.server.TLS
	switch {
	case o.server.HSTS < 0:
		return fmt.Errorf("--hsts: expected 0 or more, got %s", o.server.HSTS)
	case (files.Cert == "") != (files.Key == ""):
		return errors.New("--tls-cert and --tls-key: expected both or none")
	case files.ClientCA != "" && files.Cert == "":
		return errors.New("--client-ca needs --tls-cert: behind a proxy that ends TLS there are no certificates of devices")
	}
	return nil
}

// validateAuth checks what devices have to prove, and takes over the ways in which they can.
func (o *options) validateAuth() error {
	given := 0
	for _, text := range []string{o.jwt.Issuer, o.jwt.Audience, o.jwt.JWKSURL} {
		if text != "" {
			given++
		}
	}
	a, authority := &o.server.Edge.Auth, o.server.TLS.ClientCA
	proofs := given != 0 || authority != ""
	switch on := a.Mode != auth.Off; {
	case given != 0 && given != 3:
		return errors.New("--jwt-issuer, --jwt-audience and --jwks-url: expected all or none")
	case on && !proofs:
		return fmt.Errorf("--device-auth=%s needs --jwks-url with --jwt-issuer and --jwt-audience, or --client-ca, or both", a.Mode)
	case !on && proofs:
		return errors.New("tokens and certificates of devices are not looked at with --device-auth=off: expected optional or required")
	}
	if given == 3 {
		a.JWT = &o.jwt
	}
	if authority != "" {
		a.Certificates = &o.certificates
	}
	return nil
}

// ledgerPlace says where the ledger is.
func (o *options) ledgerPlace() error {
	c := &o.server.Ledger
	switch {
	case o.dsnFile != "":
		dsn, err := os.ReadFile(o.dsnFile) //nolint:gosec // it is for the caller to say which
		if err != nil {
			return fmt.Errorf("--ledger-dsn-file: %w", err)
		}
		if c.DSN = strings.TrimSpace(string(dsn)); c.DSN == "" {
			return fmt.Errorf("--ledger-dsn-file: expected the URL of a database in %s, got an empty file", o.dsnFile)
		}
	case c.Path == "" && o.server.CacheDir != "":
		c.Path = filepath.Join(o.server.CacheDir, ledgerFile)
	case c.Path == "":
		o.server.Log.Warn("The ledger is in memory: what devices reported is lost when this process ends; give --cache-dir, --ledger or --ledger-dsn-file")
	}
	return nil
}

// ledgerFile is the ledger's place in the cache folder.
const ledgerFile = "ledger.db"
