#include "coordinator/data/import/unread_keys.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace muster {
namespace {

constexpr size_t kMaxKeys = 1000, kShownKeys = 8;

std::string Shown(const std::string& key) { return key.empty() || key.ends_with('.') ? key + "(no name)" : key; }

}  // namespace

void UnreadKeys::Count(const InputRecord& record) {
  std::vector<std::string> names;  // a key counts once per record, however many objects have it
  record.ForEachUnread([&](std::string_view key) {
    if (std::find(names.begin(), names.end(), key) == names.end()) names.emplace_back(key);
  });
  for (const std::string& key : names) {
    const auto found = records_.find(key);
    if (found != records_.end()) {
      ++found->second;
    } else if (records_.size() < kMaxKeys) {
      records_.emplace(key, 1);
    } else {
      more_ = true;
    }
  }
}

void UnreadKeys::AddNote(std::vector<std::string>& notes) const {
  std::vector<std::pair<std::string, uint64_t>> keys(records_.begin(), records_.end());
  if (keys.empty()) return;
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(keys.size(), kShownKeys); ++i) {
    shown.push_back(absl::StrCat(Shown(keys[i].first), " (", keys[i].second, keys[i].second == 1 ? " record)" : " records)"));
  }
  if (keys.size() > kShownKeys || more_) shown.push_back("…");
  notes.push_back(absl::StrCat("left out, as the schema does not read these keys: ", absl::StrJoin(shown, ", ")));
}

}  // namespace muster
