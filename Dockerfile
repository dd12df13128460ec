# One image for web processes, workers and migrations: see compose.yaml and docs/OPERATIONS.md.
#   docker build --build-arg REVISION=$(git rev-parse --short=12 HEAD) -t magic .

FROM node:22-bookworm-slim AS libraries
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM python:3.13-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.txt constraints.txt ./
RUN pip install -r requirements.txt
COPY --from=libraries /app/node_modules node_modules
COPY . .
RUN useradd --system --uid 10001 magic && mkdir /data && chown magic /data
USER magic
VOLUME /data
ARG REVISION=
ENV REVISION=$REVISION DATABASE_URL=sqlite:////data/magic.sqlite3
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=2)"]
# Longer to end than STREAM_DRAIN_SECONDS (25): give `docker stop` 40 s.
CMD ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "30", "config.asgi:application"]
