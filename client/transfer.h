// Progress of transfers: a rewritten line on a terminal, about one line per second in a pipe.
#pragma once

#include <cstdio>
#include <string>

#include "absl/time/time.h"
#include "client/progress.h"

namespace muster {

class TransferPrinter {
 public:
  // `verb`: "sending", "receiving". A null `out` prints nothing. If standard output is not a terminal, it only gets results,
  // and progress goes to standard error.
  TransferPrinter(FILE* out, ProgressStyle style, std::string verb, absl::Duration now)
      : out_(out == stdout && !style.terminal ? stderr : out),
        style_(style),
        line_(out_, style.width),
        verb_(std::move(verb)),
        start_(now),
        last_(now) {}
  // `detail`: further information, such as "12,345 records".
  void Update(uint64_t bytes, uint64_t total, const std::string& detail, absl::Duration now);
  void Finish();  // removes the rewritten line

 private:
  FILE* out_;
  ProgressStyle style_;
  RewrittenLine line_;
  std::string verb_;
  absl::Duration start_, last_;
};

}  // namespace muster
