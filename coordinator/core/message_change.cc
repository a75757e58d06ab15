#include "coordinator/core/message_change.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"

namespace muster {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using journal::v1::ElementChange;
using journal::v1::FieldChange;
using journal::v1::MessageChange;

bool IsMessage(const FieldDescriptor* field) { return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE; }

// A message and one of its fields. `index`: the element of a repeated field; -1 if it is not repeated.
struct FieldAt {
  const Message& message;
  const FieldDescriptor* field;
  int index = -1;
};

// Compares bits, so that a NaN equals itself and zeros differ by their sign, as they do in a field's presence.
bool SameBits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
bool SameBits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }
template <typename Value>
bool SameBits(const Value& a, const Value& b) {
  return a == b;
}

// Calls `visit` with two functions for the field's type: a reader for such a place, and a writer that adds or sets a value.
template <typename Visit>
void WithType(const FieldDescriptor* field, Visit visit) {
#define MUSTER_ACCESS(NAME)                                                                                         \
  visit(                                                                                                            \
      [](const FieldAt& at) {                                                                                         \
        const Reflection& reflection = *at.message.GetReflection();                                                 \
        return at.index < 0 ? reflection.Get##NAME(at.message, at.field)                                            \
                            : reflection.GetRepeated##NAME(at.message, at.field, at.index);                         \
      },                                                                                                            \
      [](Message& message, const FieldDescriptor* to, auto value) {                                                 \
        const Reflection& reflection = *message.GetReflection();                                                    \
        to->is_repeated() ? reflection.Add##NAME(&message, to, value) : reflection.Set##NAME(&message, to, value);  \
      })
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return MUSTER_ACCESS(Int32);
    case FieldDescriptor::CPPTYPE_INT64: return MUSTER_ACCESS(Int64);
    case FieldDescriptor::CPPTYPE_UINT32: return MUSTER_ACCESS(UInt32);
    case FieldDescriptor::CPPTYPE_UINT64: return MUSTER_ACCESS(UInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE: return MUSTER_ACCESS(Double);
    case FieldDescriptor::CPPTYPE_FLOAT: return MUSTER_ACCESS(Float);
    case FieldDescriptor::CPPTYPE_BOOL: return MUSTER_ACCESS(Bool);
    case FieldDescriptor::CPPTYPE_ENUM: return MUSTER_ACCESS(EnumValue);
    case FieldDescriptor::CPPTYPE_STRING: return MUSTER_ACCESS(String);
    case FieldDescriptor::CPPTYPE_MESSAGE: return;  // callers handle messages themselves
  }
#undef MUSTER_ACCESS
}

bool SameScalar(const FieldAt& a, const FieldAt& b) {
  if (a.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    std::string scratch[2];
    const auto text = [&](const FieldAt& place, std::string* to) -> const std::string& {
      const Reflection& reflection = *place.message.GetReflection();
      return place.index < 0 ? reflection.GetStringReference(place.message, place.field, to)
                             : reflection.GetRepeatedStringReference(place.message, place.field, place.index, to);
    };
    return text(a, &scratch[0]) == text(b, &scratch[1]);
  }
  bool same = false;
  WithType(a.field, [&](auto read, auto) { same = SameBits(read(a), read(b)); });
  return same;
}

void Copy(const FieldAt& from, Message& to) {
  const Reflection& reflection = *to.GetReflection();
  if (!IsMessage(from.field)) {
    WithType(from.field, [&](auto read, auto write) { write(to, from.field, read(from)); });
  } else if (from.index < 0) {
    reflection.MutableMessage(&to, from.field)->CopyFrom(reflection.GetMessage(from.message, from.field));
  } else {
    reflection.AddMessage(&to, from.field)->CopyFrom(reflection.GetRepeatedMessage(from.message, from.field, from.index));
  }
}

bool HasMap(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->is_map()) return true;
  }
  return false;
}

// Most elements of long lists are unchanged, and generated code finds that several times faster than reflection. Maps may be
// serialized in another order; then equal messages count as different.
bool HaveSameBytes(const Message& a, const Message& b) { return a.SerializeAsString() == b.SerializeAsString(); }

// Finds the changes of one message.
class Comparison {
 public:
  Comparison(const Message& before, const Message& after) : before_(before), after_(after) {}

  MessageChange Find() {
    const Descriptor& type = *after_.GetDescriptor();
    if (HasMap(type) && DeterministicBytes(before_) == DeterministicBytes(after_)) return {};
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor* field = type.field(i);
      if (field->is_map()) {
        CompareMap(field);
      } else if (field->is_repeated()) {
        CompareList(field);
      } else {
        CompareValue(field);
      }
    }
    if (set_ != nullptr) change_.set_set(DeterministicBytes(*set_));
    return std::move(change_);
  }

 private:
  const Reflection& Reflect() const { return *after_.GetReflection(); }
  Message& Set() {
    if (set_ == nullptr) set_.reset(after_.New());
    return *set_;
  }
  void SetAll(const FieldDescriptor* field, int from) {
    for (int i = from; i < Reflect().FieldSize(after_, field); ++i) Copy({after_, field, i}, Set());
  }

  void CompareValue(const FieldDescriptor* field) {
    const bool had = Reflect().HasField(before_, field), has = Reflect().HasField(after_, field);
    if (!has) {
      if (had) change_.add_cleared(field->number());
    } else if (!had) {
      Copy({after_, field}, Set());
    } else if (!IsMessage(field)) {
      if (!SameScalar({before_, field}, {after_, field})) Copy({after_, field}, Set());
    } else {
      MessageChange inside = ChangeOf(Reflect().GetMessage(before_, field), Reflect().GetMessage(after_, field));
      if (IsEmpty(inside)) return;
      FieldChange& changed = *change_.add_fields();
      changed.set_number(field->number());
      *changed.mutable_message() = std::move(inside);
    }
  }

  // Maps here are small: a changed map is written completely.
  void CompareMap(const FieldDescriptor* field) {
    const auto bytes = [field](const Message& message) {
      const std::unique_ptr<Message> only(message.New());
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) Copy({message, field, i}, *only);
      return DeterministicBytes(*only);
    };
    const int had = Reflect().FieldSize(before_, field), has = Reflect().FieldSize(after_, field);
    if ((had == 0 && has == 0) || (had == has && bytes(before_) == bytes(after_))) return;
    if (had > 0) change_.add_cleared(field->number());
    SetAll(field, 0);
  }

  bool SameElement(const FieldDescriptor* field, int before, int after) const {
    if (!IsMessage(field)) return SameScalar({before_, field, before}, {after_, field, after});
    const Message& a = Reflect().GetRepeatedMessage(before_, field, before);
    const Message& b = Reflect().GetRepeatedMessage(after_, field, after);
    return HaveSameBytes(a, b) || IsEmpty(ChangeOf(a, b));
  }

  // Changes of the elements in both lists, if the first `dropped` elements are removed. Elements that are not messages can only
  // be replaced, so `common` ends before the first that differs.
  std::vector<ElementChange> CompareElements(const FieldDescriptor* field, int dropped, int& common) const {
    common = std::min(Reflect().FieldSize(before_, field) - dropped, Reflect().FieldSize(after_, field));
    std::vector<ElementChange> changes;
    for (int i = 0; i < common; ++i) {
      if (!IsMessage(field)) {
        if (!SameElement(field, i + dropped, i)) common = i;
        continue;
      }
      const Message& before = Reflect().GetRepeatedMessage(before_, field, i + dropped);
      const Message& after = Reflect().GetRepeatedMessage(after_, field, i);
      if (HaveSameBytes(before, after)) continue;
      MessageChange inside = ChangeOf(before, after);
      if (IsEmpty(inside)) continue;
      ElementChange& change = changes.emplace_back();
      change.set_index(i);
      *change.mutable_change() = std::move(inside);
    }
    return changes;
  }

  void CompareList(const FieldDescriptor* field) {
    const int had = Reflect().FieldSize(before_, field), has = Reflect().FieldSize(after_, field);
    int common = 0, dropped = 0;
    std::vector<ElementChange> elements = CompareElements(field, 0, common);
    const int differ = IsMessage(field) ? static_cast<int>(elements.size()) : std::min(had, has) - common;
    if (2 * differ > std::min(had, has)) {  // then the oldest elements may have been removed
      int first = 1;
      while (first < had && !SameElement(field, first, 0)) ++first;
      if (first < had) {
        dropped = first;
        elements = CompareElements(field, dropped, common);
      }
    }
    const int cut = had - dropped - common;
    if (dropped > 0 || cut > 0 || !elements.empty()) {
      FieldChange& changed = *change_.add_fields();
      changed.set_number(field->number());
      changed.set_dropped_first(dropped);
      changed.set_dropped_last(cut);
      for (ElementChange& element : elements) *changed.add_elements() = std::move(element);
    }
    SetAll(field, common);
  }

  const Message& before_;
  const Message& after_;
  std::unique_ptr<Message> set_;  // null: no field is set
  MessageChange change_;
};

absl::Status Unfit(absl::string_view what, const Message& message) {
  return absl::DataLossError(absl::StrCat("a change of a ", message.GetDescriptor()->name(), " ", what,
                                          ", so the journal is damaged. Restore the folder's backup."));
}

absl::Status ApplyToList(const FieldChange& change, const FieldDescriptor* field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (field->is_map() || change.has_message()) return Unfit("changes another kind of field", message);
  const int size = reflection.FieldSize(message, field);
  const uint64_t dropped = uint64_t{change.dropped_first()} + change.dropped_last();
  if (dropped > static_cast<uint64_t>(size)) return Unfit("drops elements that do not exist", message);
  const int first = static_cast<int>(change.dropped_first()), kept = size - static_cast<int>(dropped);
  for (int i = 0; first > 0 && i < kept; ++i) reflection.SwapElements(&message, field, i, i + first);
  for (int i = size; i > kept; --i) reflection.RemoveLast(&message, field);
  for (const ElementChange& element : change.elements()) {
    if (!IsMessage(field) || element.index() >= static_cast<uint32_t>(kept)) {
      return Unfit("changes an element that does not exist", message);
    }
    const absl::Status status =
        ApplyChange(element.change(), *reflection.MutableRepeatedMessage(&message, field, static_cast<int>(element.index())));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

bool IsEmpty(const MessageChange& change) {
  return change.set().empty() && change.cleared().empty() && change.fields().empty();
}

MessageChange ChangeOf(const Message& before, const Message& after) { return Comparison(before, after).Find(); }

absl::Status ApplyChange(const MessageChange& change, Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (const uint32_t number : change.cleared()) {
    if (const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(number)); field != nullptr) {
      reflection.ClearField(&message, field);
    } else {
      reflection.MutableUnknownFields(&message)->DeleteByNumber(static_cast<int>(number));
    }
  }
  for (const FieldChange& changed : change.fields()) {
    const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(changed.number()));
    if (field == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("a journal record changes field ", changed.number(), " of a ",
                                                        type.name(), ", which this version does not know. Start the newer "
                                                        "version, or restore the backup from before the upgrade."));
    }
    absl::Status status;
    if (field->is_repeated()) {
      status = ApplyToList(changed, field, message);
    } else if (!IsMessage(field) || !reflection.HasField(message, field)) {
      status = Unfit("is inside a field that does not exist", message);
    } else {
      status = ApplyChange(changed.message(), *reflection.MutableMessage(&message, field));
    }
    if (!status.ok()) return status;
  }
  if (change.set().empty()) return absl::OkStatus();
  const std::unique_ptr<Message> set(message.New());
  if (!set->ParseFromString(change.set())) return Unfit("cannot be read", message);
  message.MergeFrom(*set);
  return absl::OkStatus();
}

}  // namespace muster
