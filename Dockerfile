# Images of NovaGate: one static program each, nothing else. docs/operations.md says how to run them.
#
#   docker build --target gateway -t novagate-gateway .
#   docker build --target control -t novagate-control .
#   docker build --target demo    -t novagate-demo .
#
# `cargo xtask image` builds the same images from programs it has built itself, without this first stage and without network.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo xtask dist \
 && target="$(rustc --print host-tuple)" \
 && mkdir -p /out/data/public \
 && chmod 0700 /out/data \
 && cp "target/$target/dist/novagate-gateway" "target/$target/dist/novagate-control" "target/$target/dist/novagate" /out/

# A gateway. Traffic on 8000; /health, /ready, /metrics and /status on loopback unless ADMIN_ADDR says otherwise.
FROM scratch AS gateway
LABEL org.opencontainers.image.title="NovaGate gateway" \
      org.opencontainers.image.description="Carries a tenant's live traffic on the tenant's own machines" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/novagate-gateway /novagate-gateway
ENV DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/novagate-gateway", "healthcheck"]
ENTRYPOINT ["/novagate-gateway"]

# A control plane. API and sync on 8080; /health, /ready, /metrics and /status on loopback unless OPS_ADDR says otherwise.
FROM scratch AS control
LABEL org.opencontainers.image.title="NovaGate control plane" \
      org.opencontainers.image.description="Keeps the configuration of gateways and shows what they do" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/novagate-control /novagate-control
# SQLite sorts in files when a statement needs much room; there is no other place that can be written.
ENV DATA_DIR=/data LISTEN_ADDR=0.0.0.0:8080 SQLITE_TMPDIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/novagate-control", "healthcheck"]
ENTRYPOINT ["/novagate-control"]
CMD ["serve"]

# The demo upstream of compose.yaml: answers every request with what it got.
FROM scratch AS demo
LABEL org.opencontainers.image.title="NovaGate demo upstream" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/novagate /novagate
USER 65532:65532
EXPOSE 8001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/novagate"]
CMD ["demo-upstream", "--listen", "0.0.0.0:8001"]
