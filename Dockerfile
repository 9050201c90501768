# An image of the static binary and what it needs around it, from files that "make image" puts into bin/image: it takes nothing from the network.
#   make image && docker build -t webadmin .          (or: buildah build --format docker -t webadmin .)
#   docker run --read-only --tmpfs /tmp -v webadmin:/var/lib/webadmin -p 8080:8080 -e WEBADMIN_REDIS_URL=redis://… webadmin
# There is no redis-server inside: --redis-url is needed, and so is a session key that outlives the container (the volume, or
# WEBADMIN_SESSION_KEY_FILE). The debugger and the dry run of programs take a redis-server beside the binary: they, and the embedded server,
# are there on a base that has one, as --build-arg BASE=redis:7-bookworm.
ARG BASE=scratch
FROM ${BASE}
COPY bin/image/root /
COPY --chown=65532:65532 bin/image/data /var/lib/webadmin
USER 65532:65532
WORKDIR /var/lib/webadmin
VOLUME /var/lib/webadmin
ENV WEBADMIN_LISTEN=0.0.0.0:8080 WEBADMIN_DATA_DIR=/var/lib/webadmin WEBADMIN_LUA_DIR=/etc/webadmin/lua
EXPOSE 8080
STOPSIGNAL SIGTERM
# Whether Redis is there does not decide: to restart this would not bring it back.
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s CMD ["/usr/local/bin/webadmin", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/webadmin"]
CMD ["serve"]
