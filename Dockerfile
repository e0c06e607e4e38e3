# One image for api, worker and migrate. Debian, because Temporal's native core needs glibc.
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No install script is needed here: they belong to what only development uses.
RUN npm ci --omit=dev --ignore-scripts \
  && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 ! -name '*-linux-gnu' -exec rm -r {} + \
  && rm -r node_modules/@temporalio/core-bridge/sdk-core

FROM ${NODE_IMAGE}
# What code of people runs in, and what runs it beside Node; setpriv, prlimit and perl come with Debian (docs/code.md).
RUN apt-get update \
  && apt-get install --yes --no-install-recommends bubblewrap python3 tar util-linux \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY db db
COPY activities activities
COPY workflows workflows
COPY src src
# What workers run is bundled here: they may be unable to write.
RUN node src/temporal/bundle-workflows.ts && install -d -o node node_modules/.cache/orchflow/node /var/lib/orchflow/files
USER node
EXPOSE 8000
CMD ["node", "src/api.ts"]
