# syntax=docker/dockerfile:1
# One image for workers, endpoint and CLI; docker-compose.yml says which of them a container is. docs/deploy.md.
ARG NODE_IMAGE=node:22.20.0-bookworm-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
# .npmrc keeps onnxruntime-node from downloading CUDA libraries: docs/gpu.md says how to opt in.
COPY package.json package-lock.json .npmrc ./
# Two packages bring native code for every platform, 250 MB of it for others than this one.
RUN npm ci --omit=dev --no-audit --no-fund \
 && cd node_modules/onnxruntime-node/bin/napi-v6 \
 && find . -mindepth 1 -maxdepth 2 -type d ! -path ./linux ! -path "./linux/$(node -p process.arch)" -prune -exec rm -r {} + \
 && cd /app/node_modules/@temporalio/core-bridge/releases \
 && find . -mindepth 1 -maxdepth 1 -type d ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +

FROM ${NODE_IMAGE}
ENV NODE_ENV=production GOTO3_HOME=/state GOTO3_STORE=file:///store
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json package-lock.json ./
COPY bin bin
COPY src src
COPY recipes recipes
COPY examples examples
COPY deploy/prepare-namespace.ts deploy/
# Empty named volumes take over owner and mode of the folders that they are mounted on.
RUN install -d -o node -g node -m 0750 /state /store /app/.goto3
# Not a name: Kubernetes' runAsNonRoot wants to see a number.
USER 1000:1000
ENTRYPOINT ["node", "--import", "tsx", "src/workers/main.ts"]
