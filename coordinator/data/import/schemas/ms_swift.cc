// ms-swift: messages, positive_messages, negative_messages; and the older query, response, rejected_response.
// Source: https://swift.readthedocs.io, "Embedding Training".
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

using Kind = InputRecord::Kind;

absl::Status Expected(std::string_view key, absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", ToAbsl(key), "\" must hold messages of one text each: [{\"role\": \"user\", \"content\": \"…\"}], found ", found));
}

// The only text of a conversation. A text in several messages would depend on a chat template.
absl::StatusOr<std::string> TextOfMessages(InputRecord::Value messages, std::string_view key) {
  if (!messages || messages.kind() != Kind::kList) return Expected(key, ToAbsl(KindOf(messages)));
  std::string text;
  int count = 0;
  for (const InputRecord::Value message : messages) {
    if (message.kind() != Kind::kObject) return Expected(key, absl::StrCat(ToAbsl(KindOf(message)), " in it"));
    const InputRecord::Value content = message.Find("content"), role = message.Find("role");
    if (!IsAbsent(role) && role.kind() != Kind::kText) return Expected(key, absl::StrCat("a message whose role is ", ToAbsl(KindOf(role))));
    if (!content || content.kind() != Kind::kText) return Expected(key, absl::StrCat("a message whose content is ", ToAbsl(KindOf(content))));
    text = content.text();
    ++count;
  }
  if (count != 1) return Expected(key, absl::StrCat(count, " messages"));
  return text;
}

absl::Status ReadConversations(const InputRecord& record, std::string_view key, bool required, Relation relation,
                               CanonicalRow& row) {
  const InputRecord::Value list = record.Find(key);
  if (IsAbsent(list) && (!required || list)) return absl::OkStatus();  // some tools save an empty list as null
  if (!list || list.kind() != Kind::kList) return Expected(key, ToAbsl(KindOf(list)));
  for (const InputRecord::Value messages : list) {
    ASSIGN_OR_RETURN(std::string text, TextOfMessages(messages, key));
    AddTexts({std::move(text)}, relation, row);
  }
  return absl::OkStatus();
}

// A label of 1 or 0 says whether the pair belongs together; any other number is a similarity, and so a grade.
absl::Status ReadLabel(const InputRecord& record, CanonicalRow& row) {
  const InputRecord::Value label = record.Find("label");
  if (IsAbsent(label)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const float grade, NumberOf(label, "label", record.untyped));
  for (CanonicalPassage& passage : row.passages) {
    if (passage.relation != Relation::kGraded) continue;
    passage.grade = grade;
    if (grade == 0) passage.relation = Relation::kNegative;
  }
  return absl::OkStatus();
}

absl::Status ReadMessages(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  ASSIGN_OR_RETURN(row.query, TextOfMessages(record.Find("messages"), "messages"));
  RETURN_IF_ERROR(ReadConversations(record, "positive_messages", true, Relation::kGraded, row));
  RETURN_IF_ERROR(ReadConversations(record, "negative_messages", false, Relation::kNegative, row));
  RETURN_IF_ERROR(ReadLabel(record, row));
  RETURN_IF_ERROR(ReadSource(record, row));
  return sink.Row(row);
}

absl::Status ReadResponses(const InputRecord& record, RowSink& sink) {
  CanonicalRow row;
  RETURN_IF_ERROR(ReadQuery(record, {"query"}, row));
  ASSIGN_OR_RETURN(std::vector<std::string> positives, TextsOf(record, "response", true, true));
  ASSIGN_OR_RETURN(std::vector<std::string> negatives, TextsOf(record, "rejected_response", false, true));
  AddTexts(std::move(positives), Relation::kGraded, row);
  RETURN_IF_ERROR(ReadLabel(record, row));
  AddTexts(std::move(negatives), Relation::kNegative, row);
  return sink.Row(row);
}

}  // namespace

const std::vector<RecordKind> kMsSwiftKinds = {
    {.schema = "ms-swift",
     .fields = "messages, positive_messages, negative_messages",
     .matches = [](std::string_view, const InputRecord& record) { return HasAll(record, {"messages", "positive_messages"}); },
     .read = ReadMessages,
     .columns = {"messages", "positive_messages", "negative_messages", "label"}},
    {.schema = "ms-swift",
     .fields = "query, response, rejected_response",
     .matches = [](std::string_view, const InputRecord& record) { return HasAll(record, {"query", "response"}); },
     .read = ReadResponses,
     .columns = {"query", "response", "rejected_response", "label"}}};

}  // namespace muster
