# Builds the environment of a pack in $HOME/env. $ATTUNE_PACK_DIR has its requirements, $ATTUNE_PYTHON is the interpreter.
# With uv if it is installed, otherwise with pip.
set -eu
cd "$ATTUNE_PACK_DIR"
env="$HOME/env"
if command -v uv > /dev/null; then
    export UV_CACHE_DIR="$HOME/cache" UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=hardlink
    uv venv --quiet --relocatable --python "$ATTUNE_PYTHON" "$env"
    if [ -f uv.lock ]; then
        export UV_PROJECT_ENVIRONMENT="$env"
        exec uv sync --frozen --no-dev --no-install-project --compile-bytecode --python "$env/bin/python"
    fi
    if [ -f requirements.txt ]; then list=requirements.txt; else list=pyproject.toml; fi
    exec uv pip install --compile-bytecode --python "$env/bin/python" -r "$list"
fi
if [ ! -f requirements.txt ]; then
    echo "pyproject.toml needs uv, which is not installed on this worker" >&2
    exit 1
fi
"$ATTUNE_PYTHON" -I -m venv "$env"
exec "$env/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input --no-cache-dir -r requirements.txt
