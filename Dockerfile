# One image for witnesses: `docker build --tag pointsman .`, then
#   docker run --volume witness-a:/var/lib/pointsman --volume ./pointsman.yaml:/etc/pointsman/pointsman.yaml:ro \
#     pointsman run --config /etc/pointsman/pointsman.yaml --witness w-a --data /var/lib/pointsman
# Three witnesses and two sites to play with: docker-compose.yml and examples/docker/README.md.

FROM node:20-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.base.json ./
COPY src ./src
# Only what runs: the projects src and src/core, neither the simulator nor the tests.
RUN ./node_modules/.bin/tsc -b src \
 && chmod 755 dist/src/cli/main.js \
 && npm prune --omit=dev --ignore-scripts

FROM node:20-bookworm-slim
# Syncing a write happens in libuv's pool of threads; with its default of 4 a few slow name look-ups hold up the log.
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=16
WORKDIR /opt/pointsman
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist/src ./dist/src
COPY package.json LICENSE ./
COPY proto ./proto
# The directory belongs to the user in the image, because a new named volume takes its owner from there.
RUN ln -s /opt/pointsman/dist/src/cli/main.js /usr/local/bin/pointsman \
 && install -d -o node -g node -m 700 /var/lib/pointsman
USER node

# Alive: this witness answers. Not: it has a leader, since restarting a witness that lost its majority helps nobody.
# Set POINTSMAN_ADDRESS to the witness's `admin` address where that is not 127.0.0.1:7401.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["pointsman", "status", "--json", "--timeout", "4s"]

# Process 1 is node itself: it hands over and stops in good order on SIGTERM. Give it the time (--stop-timeout 20).
ENTRYPOINT ["pointsman"]
CMD ["--help"]
