# check=error=true;experimental=all
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
# The modules are a layer of their own: they change far less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY internal/ internal/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X github.com/calcom-operator/calcom-operator/internal/version.Version=$VERSION" \
    -o /out/ ./cmd ./cmd/kubectl-calcom && mv /out/cmd /out/manager

FROM gcr.io/distroless/static:nonroot
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="calcom-operator" \
      org.opencontainers.image.description="Kubernetes operator for the managed users of Cal.com Platform" \
      org.opencontainers.image.source="https://github.com/calcom-operator/calcom-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/manager /manager
# For Jobs that look after users from inside the cluster, as before an uninstall: kubectl-calcom drain.
COPY --from=build /out/kubectl-calcom /kubectl-calcom
# The number, not the name nonroot: Kubernetes checks runAsNonRoot by number.
USER 65532:65532
ENTRYPOINT ["/manager"]
