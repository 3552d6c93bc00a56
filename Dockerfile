# Builds for the machine it runs on; `docker build --build-arg VERSION=$(git describe --tags) .`
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY third_party third_party
RUN go mod download
COPY cmd cmd
COPY config config
COPY examples examples
COPY handlers handlers
COPY provider provider
COPY storage storage
COPY templates templates
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /understudy ./cmd/understudy
# Nothing is there at run time that could make a directory.
RUN install -d -o 65532 -g 65532 /data && install -d -m 1777 /empty-tmp

# No shell, no package, no root: the binary, root certificates and two directories.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /empty-tmp /tmp
COPY --from=build /understudy /understudy
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["/understudy", "healthcheck", "--config", "/etc/understudy/config.yaml"]
ENTRYPOINT ["/understudy"]
CMD ["serve", "--config", "/etc/understudy/config.yaml"]
