# One image for the site, the workers and the one-shots: docker-compose.yml gives each its command.
# The tag pins Python's minor version and the Debian release; a rebuild brings their security fixes.

FROM python:3.12-slim-trixie AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements.txt /build/
# only wheels, each with its hash: nothing is compiled, here or in the last stage
RUN pip install --require-hashes --only-binary=:all: -r /build/requirements.txt
WORKDIR /app
COPY manage.py ./
COPY massdl_site massdl_site
COPY people people
COPY videos videos
COPY ingestion ingestion
COPY templates templates
COPY deploy deploy
RUN find . -name __pycache__ -type d -prune -exec rm -r {} +
# without DATABASE_URL the settings would look for an embedded PostgreSQL; neither value reaches the last stage
RUN DATABASE_URL=postgres://build@localhost/build MASSDL_SECRET_KEY=build python manage.py collectstatic --noinput
RUN python -m compileall -q .

FROM python:3.12-slim-trixie
LABEL org.opencontainers.image.title="massdl" \
      org.opencontainers.image.description="Archives whole YouTube channels into S3, run from the Django admin."
RUN useradd --system --uid 10001 --home-dir /var/lib/massdl --create-home massdl
COPY --from=builder /venv /venv
COPY --from=builder /app /app
# the code belongs to root: the process can write its own folder and nothing else
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/massdl \
    MASSDL_VAR_DIR=/var/lib/massdl
WORKDIR /app
USER massdl
VOLUME /var/lib/massdl
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 CMD ["python", "-m", "deploy.check_web"]
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "massdl_site.wsgi"]
