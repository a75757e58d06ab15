#include "client/transfer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/words.h"

namespace muster {

void TransferPrinter::Update(uint64_t bytes, uint64_t total, const std::string& detail, absl::Duration now) {
  if (out_ == nullptr || now - last_ < (style_.terminal ? absl::Milliseconds(100) : absl::Seconds(1))) return;
  last_ = now;
  const double share = total > 0 ? static_cast<double>(bytes) / static_cast<double>(total) : 1;
  const double rate = static_cast<double>(bytes) / std::max(absl::ToDoubleSeconds(now - start_), 1e-3);
  const std::string line =
      absl::StrFormat("%s %3.0f %%  %s of %s  %s/s%s", verb_, 100 * std::min(share, 1.0), SizeText(bytes),
                      SizeText(total), SizeText(static_cast<uint64_t>(rate)), detail.empty() ? "" : "  " + detail);
  if (style_.terminal) {
    line_.Draw(line.substr(0, line_.Width()));
  } else {
    absl::FPrintF(out_, "%s\n", line);
  }
  std::fflush(out_);
}

void TransferPrinter::Finish() {
  line_.Clear();
}

}  // namespace muster
