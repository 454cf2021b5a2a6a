# syntax=docker/dockerfile:1

# Build: dependencies and the wheel, both from hash-locked files, into one virtual environment.
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --require-hashes --requirement requirements/build.txt \
    && python -m venv /opt/pointsman \
    && /opt/pointsman/bin/pip install --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY routes/ routes/
COPY queue/ queue/
COPY producer/ producer/
COPY worker/ worker/
COPY audit/ audit/
COPY console/ console/
RUN /opt/tools/bin/python -m hatchling build --target wheel --directory /tmp/dist \
    && /opt/pointsman/bin/pip install --no-deps --no-index /tmp/dist/*.whl

# Run: no compiler, no package manager's cache, no root.
FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home pointsman \
    && install --directory --owner pointsman /var/lib/pointsman
COPY --from=build /opt/pointsman /opt/pointsman
ENV PATH=/opt/pointsman/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    POINTSMAN_HOME=/var/lib/pointsman \
    POINTSMAN_CONFIG=/etc/pointsman/pointsman.toml
USER pointsman
WORKDIR /var/lib/pointsman
STOPSIGNAL SIGTERM
ENTRYPOINT ["pointsman"]
CMD ["--help"]
