# Image of the gateway: one static file, no shell, not root.
#
#   docker buildx build -f build/gateway.Dockerfile --platform linux/amd64,linux/arm64 -t registry.example.com/windlass/gateway:0.1.0 .
#
# The same flags as make build, so that the same sources give the same bytes.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -ldflags='-s -w' -o /out/gateway ./cmd/gateway

FROM scratch
ARG VERSION=0.1.0 REVISION=unknown
LABEL org.opencontainers.image.title="windlass-gateway" \
      org.opencontainers.image.source="https://github.com/windlass-dev/windlass" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gateway /gateway
USER 65532:65532
ENTRYPOINT ["/gateway"]
