# The images and their names. Sourced by build and load.
#   part          name                 holds
#   coordinator   muster-coordinator   coordinator, data server and the command line
#   worker        muster-worker        the worker and its ranks, for CPUs
#   worker-cuda   muster-worker-cuda   the same with CUDA's libraries and the GPU plug-in
known_parts=(coordinator worker worker-cuda)
version=$(sed -n 's/^project(muster VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")

# parse_part WORD: adds WORD to `parts` if it is the name of a part.
parse_part() {
  local part
  for part in "${known_parts[@]}"; do
    if [ "$part" = "$1" ]; then parts+=("$1"); return 0; fi
  done
  echo "${0##*/}: unknown argument '$1'; images are: ${known_parts[*]}. See --help" >&2
  exit 2
}

# need PROGRAM REMEDY: exits with the remedy if the program is not installed.
need() {
  command -v "$1" >/dev/null || { echo "${0##*/}: $1 is missing: $2" >&2; exit 2; }
}

print_help() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
