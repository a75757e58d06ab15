// A record of a file of any format (JSON, CSV, TSV or Parquet), and the fields that schemas read from it.
//
// Errors are INVALID_ARGUMENT; the message says what was expected and what was found, without the place and a final period.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace muster {

// Not thread-safe. Values are in one vector, parents before children, so that reading a record allocates nothing once
// the vector has grown. Texts are views of the format reader's memory, valid until its next record.
class InputRecord {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInteger, kNumber, kText, kList, kObject };
  struct Node {
    Kind kind = Kind::kNull;
    bool negative = false;       // of an integer
    mutable bool read = false;   // whether a schema has read it
    uint32_t end = 0;            // the index after the last descendant
    uint64_t magnitude = 0;      // of an integer
    double number = 0;           // of an integer and a number
    std::string_view key, text;  // the key is empty in a list
  };

  class Value {
   public:
    Value() = default;
    Value(const InputRecord* record, uint32_t index) : record_(record), index_(index) {}
    explicit operator bool() const { return record_ != nullptr; }
    Kind kind() const { return node().kind; }
    std::string_view key() const { return node().key; }
    std::string_view text() const { return node().text; }
    double number() const { return node().number; }
    const Node& node() const { return record_->nodes_[index_]; }
    // The values in a list or an object, in the file's order.
    class Iterator {
     public:
      Iterator(const InputRecord* record, uint32_t index) : record_(record), index_(index) {}
      Value operator*() const { return {record_, index_}; }
      Iterator& operator++() {
        index_ = record_->nodes_[index_].end;
        return *this;
      }
      bool operator!=(const Iterator& other) const { return index_ != other.index_; }

     private:
      const InputRecord* record_;
      uint32_t index_;
    };
    Iterator begin() const { return {record_, index_ + 1}; }
    Iterator end() const { return {record_, node().end}; }
    bool empty() const { return node().end == index_ + 1; }
    bool is_empty_cell() const { return record_->untyped && kind() == Kind::kText && text().empty(); }
    Value Find(std::string_view key) const;  // the last of equal keys; false: there is none. Counts as read
    void MarkRead() const { node().read = true; }

   private:
    friend class InputRecord;
    const InputRecord* record_ = nullptr;
    uint32_t index_ = 0;
  };

  void Clear() {
    nodes_.clear();
    renamed = false;
  }
  // Appends a value; a list or object is closed with Close(its index) once its values were appended.
  uint32_t Add(Kind kind, std::string_view key, std::string_view text = {}, double number = 0);
  void AddInteger(std::string_view key, uint64_t magnitude, bool negative);
  void Close(uint32_t index) { nodes_[index].end = static_cast<uint32_t>(nodes_.size()); }
  // Renames the fields of an object: name in the file → name in the schema. Hides a field of the file that already has one of
  // these schema names. Names in capitals, as databases write them, are matched with the schema's.
  void Rename(const std::map<std::string, std::string>& names);

  bool empty() const { return nodes_.empty(); }
  Value root() const { return {this, 0}; }
  bool is_object() const { return !nodes_.empty() && nodes_[0].kind == Kind::kObject; }
  Value Find(std::string_view key) const { return is_object() ? root().Find(key) : Value(); }
  bool Has(std::string_view key) const { return is_object() && Lookup(root(), key); }  // does not count as read
  void ForgetReads() const {
    for (const Node& node : nodes_) node.read = false;
  }
  // Calls `take(key)` for each key whose value no schema has read, of the record and of objects in it that were read in
  // part ("positive_ctxs.score"). Null and empty texts, lists and objects do not count as values.
  void ForEachUnread(absl::FunctionRef<void(std::string_view key)> take) const;
  // Cells of CSV and TSV have no types: a number is its digits, and a list is a JSON list.
  bool untyped = false;
  bool renamed = false;  // fields were given the schema's names, so they are found by name and not by position
  uint64_t number = 0;   // of its line or row in the file
  std::span<const std::string> columns;  // what RecordKind::columns_of found in the file's first record

 private:
  static Value Lookup(Value object, std::string_view key);
  void AddUnread(Value value, const std::string& prefix, absl::FunctionRef<void(std::string_view key)> take) const;

  std::vector<Node> nodes_;
};

// Describes a value, for messages: "a list", "nothing".
std::string_view KindOf(InputRecord::Value value);
bool IsAbsent(InputRecord::Value value);  // also true for null, and for an empty cell of CSV or TSV

// A string; an absent or null one is "" where `required` is false.
absl::StatusOr<std::string_view> TextOf(const InputRecord& record, std::string_view key, bool required = true);
// A string that is not empty, or an integer, which is written in decimal digits.
absl::StatusOr<std::string> IdOf(InputRecord::Value value, std::string_view key);
absl::StatusOr<std::string> IdOf(const InputRecord& record, std::string_view key);
// A string, or an integer ("1984"), which is written in decimal digits; an absent or null one is "".
absl::StatusOr<std::string> TitleOf(InputRecord::Value value);
// Lists; a null one is empty, and so is an absent one where `required` is false. One string counts as a list of one where
// `allow_one` is set.
absl::StatusOr<std::vector<std::string>> TextsOf(const InputRecord& record, std::string_view key, bool required,
                                                 bool allow_one = false);
absl::StatusOr<std::vector<std::string>> IdsOf(const InputRecord& record, std::string_view key, bool required);
absl::StatusOr<std::vector<float>> NumbersOf(const InputRecord& record, std::string_view key);
// A finite number.
absl::StatusOr<float> NumberOf(InputRecord::Value value, std::string_view key, bool untyped);

}  // namespace muster
