# Targets: `runtime` (the default) is what users run; `demo` holds the OIDC provider and the MCP server of docker-compose.yml.
# No "# syntax=" line: every builder would have to fetch a frontend first. A release names these by digest (docs/containers.md).
ARG NODE_IMAGE=node:24-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot
ARG OPA_IMAGE=openpolicyagent/opa:1.22.2-static

FROM ${OPA_IMAGE} AS opa

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# What volumes are mounted on: Docker gives a new volume the owner and the mode of the folder that it hides.
RUN mkdir -p /volumes/policies \
  && mkdir -m 700 /volumes/keys /volumes/secrets /volumes/state \
  && mkdir -m 700 /volumes/state/keys /volumes/state/secrets /volumes/state/unseal /volumes/state/idp /volumes/state/revocations /volumes/state/known

# The packages of the lab, in the versions of the lockfile, and none of the test tools.
FROM dependencies AS demo-dependencies
COPY deploy/image/demo-packages.ts ./
RUN node demo-packages.ts

FROM ${RUNTIME_IMAGE} AS demo
ENV NODE_ENV=production NODE_OPTIONS=--disable-sigusr1 PATH=/usr/local/bin:/nodejs/bin:/usr/bin:/bin
COPY --from=demo-dependencies /app/node_modules /app/node_modules
COPY --from=dependencies --chown=65532:65532 /volumes/state /state
COPY LICENSE NOTICE package.json /app/
COPY protos /app/protos
COPY src /app/src
COPY policies /app/policies
COPY demo /app/demo
COPY --chmod=755 deploy/image/token deploy/image/revoke /usr/local/bin/
USER 65532:65532
WORKDIR /app
ENTRYPOINT ["/nodejs/bin/node", "--disable-warning=ExperimentalWarning"]
CMD ["demo/compose/demo.ts"]

# Node without shell, package manager or root. WORKDIR comes after COPY: it would give /app to the user, COPY gives it to root.
FROM ${RUNTIME_IMAGE} AS runtime
# Without the option SIGUSR1 opens an inspector before the first line of ours runs.
ENV NODE_ENV=production NODE_OPTIONS=--disable-sigusr1 PATH=/usr/local/bin:/nodejs/bin:/usr/bin:/bin \
  MCP_AUTHZ_CONFIG=/etc/mcp-authz/mcp-authz.yaml
LABEL org.opencontainers.image.title="mcp-authz" \
  org.opencontainers.image.description="Envoy ext_authz service for MCP: who may use which tool, with whose credential" \
  org.opencontainers.image.licenses="Apache-2.0"
# Compiles edited policies; a bundle from `build-policy` does not need it.
COPY --from=opa /opa /usr/local/bin/opa
COPY --from=dependencies /app/node_modules /app/node_modules
COPY --from=dependencies --chown=65532:65532 /volumes/keys /etc/mcp-authz/keys
COPY --from=dependencies --chown=65532:65532 /volumes/secrets /etc/mcp-authz/secrets
COPY --from=dependencies --chown=65532:65532 /volumes/policies /etc/mcp-authz/policies
COPY LICENSE NOTICE package.json /app/
COPY policies/capabilities.json /app/policies/
COPY policies/mcp_authz /app/policies/mcp_authz
COPY protos /app/protos
COPY src /app/src
COPY --chmod=755 deploy/image/mcp-authz /usr/local/bin/
USER 65532:65532
WORKDIR /app
EXPOSE 9001 9002 9003 9004
ENTRYPOINT ["/usr/local/bin/mcp-authz"]
CMD ["serve"]
