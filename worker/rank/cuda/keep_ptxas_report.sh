#!/bin/sh
# Runs a compile command of nvcc with -Xptxas -v, and keeps ptxas's report of each kernel next to the object, in
# OBJECT.ptxas. Everything else that the compiler says goes to stderr as it is.
object=
previous=
for argument in "$@"; do
  if [ "$previous" = -o ]; then object=$argument; fi
  previous=$argument
done
said=$(mktemp)
"$@" 2>"$said"
status=$?
kept='^ptxas info|^ +[0-9]+ bytes stack frame'
grep -vE "$kept" "$said" >&2
if [ -n "$object" ]; then grep -E "$kept" "$said" >"$object.ptxas"; fi
rm -f "$said"
exit "$status"
