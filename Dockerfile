# One static binary and the redis-server that it runs when it is given no --redis-url. Build it with
#   docker build -t webadmin --build-arg VERSION="$(git describe --tags --always)" --build-arg DATE="$(git show -s --format=%cI)" .
FROM node:22-bookworm-slim AS assets
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY web ./web
COPY internal/handlers ./internal/handlers
RUN npm run --silent build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=assets /src/web/static/dist ./web/static/dist
ARG VERSION=dev
ARG DATE=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION -X main.date=$DATE" -o /webadmin ./cmd/webadmin

FROM debian:bookworm-slim
RUN apt-get update \
	&& apt-get install -y --no-install-recommends redis-server ca-certificates tzdata \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --system --home-dir /var/lib/webadmin --create-home webadmin
COPY --from=build /webadmin /usr/local/bin/webadmin
USER webadmin
WORKDIR /var/lib/webadmin
VOLUME /var/lib/webadmin
ENV WEBADMIN_LISTEN=0.0.0.0:8080 WEBADMIN_DATA_DIR=/var/lib/webadmin WEBADMIN_LUA_DIR=/etc/webadmin/lua
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["webadmin", "healthcheck"]
ENTRYPOINT ["webadmin"]
CMD ["serve"]
