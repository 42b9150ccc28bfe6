#!/usr/bin/env bash
# Make sure that the Debian packages for a job are there: root installs them, others are told.
#   debian.sh venv PYTHON   what a virtual environment needs
#   debian.sh test          what the tests need besides Python packages
set -euo pipefail

missing=()
case "${1:?venv or test}" in
  venv)
    python=${2:?the Python to use}
    command -v "$python" >/dev/null || { echo "make: no $python; slokit needs Python >= 3.11" >&2; exit 2; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
      { echo "make: $("$python" --version) is too old; slokit needs Python >= 3.11 (PYTHON=python3.12 make ...)" >&2; exit 2; }
    "$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    ;;
  test)
    command -v openssl >/dev/null || missing+=(openssl)  # certificates for the TLS tests
    command -v redis-server >/dev/null || missing+=(redis-server)  # the shared cache
    ;;
esac

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "setting up: Debian packages ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "make: these packages are missing: ${missing[*]} (Debian: sudo apt-get install ${missing[*]})" >&2
  exit 2
fi
