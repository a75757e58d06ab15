#include "tests/fuzz/random_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>

#include <limits>

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxDepth = 6;
constexpr size_t kMaxEntries = 8;

// Small numbers, boundary values, or any number.
template <typename T>
T Number(ByteSource& source) {
  switch (source.Below(4)) {
    case 0: return static_cast<T>(source.Byte() % 8);
    case 1: return std::numeric_limits<T>::max();
    case 2: return static_cast<T>(source.Byte());
    default: return source.Take<T>();
  }
}

std::string Text(ByteSource& source, const KnownStrings& known, bool is_utf8) {
  if (!known.empty() && source.Coin()) return known[source.Below(known.size())];
  std::string text = source.ShortBytes();
  if (is_utf8) {
    for (char& c : text) c = static_cast<char>(c & 0x7F);
  }
  return text;
}

void AddValue(ByteSource& source, const KnownStrings& known, const FieldDescriptor* field, Message& message,
              int depth) {
  const Reflection* reflection = message.GetReflection();
  const bool many = field->is_repeated();
#define MUSTER_NUMBER(TYPE, Name)                                     \
  {                                                                   \
    const TYPE value = Number<TYPE>(source);                          \
    many ? reflection->Add##Name(&message, field, value) : reflection->Set##Name(&message, field, value); \
    return;                                                           \
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: MUSTER_NUMBER(int32_t, Int32)
    case FieldDescriptor::CPPTYPE_INT64: MUSTER_NUMBER(int64_t, Int64)
    case FieldDescriptor::CPPTYPE_UINT32: MUSTER_NUMBER(uint32_t, UInt32)
    case FieldDescriptor::CPPTYPE_UINT64: MUSTER_NUMBER(uint64_t, UInt64)
    case FieldDescriptor::CPPTYPE_DOUBLE: MUSTER_NUMBER(double, Double)
    case FieldDescriptor::CPPTYPE_FLOAT: MUSTER_NUMBER(float, Float)
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool value = source.Coin();
      many ? reflection->AddBool(&message, field, value) : reflection->SetBool(&message, field, value);
      return;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value = source.Coin() ? static_cast<int>(source.Below(12)) : Number<int32_t>(source);
      many ? reflection->AddEnumValue(&message, field, value) : reflection->SetEnumValue(&message, field, value);
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string value = Text(source, known, field->type() == FieldDescriptor::TYPE_STRING);
      many ? reflection->AddString(&message, field, std::move(value))
           : reflection->SetString(&message, field, std::move(value));
      return;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      Message* child = many ? reflection->AddMessage(&message, field) : reflection->MutableMessage(&message, field);
      FillMessage(source, known, *child, depth + 1);
      return;
    }
  }
#undef MUSTER_NUMBER
}

}  // namespace

void FillMessage(ByteSource& source, const KnownStrings& known, Message& message, int depth) {
  if (depth >= kMaxDepth) return;
  const google::protobuf::Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count() && !source.empty(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->real_containing_oneof() != nullptr) continue;
    if (!source.Coin()) continue;
    const size_t count = field->is_repeated() ? source.Below(kMaxEntries + 1) : 1;
    for (size_t entry = 0; entry < count; ++entry) AddValue(source, known, field, message, depth);
  }
  for (int i = 0; i < type->real_oneof_decl_count() && !source.empty(); ++i) {
    const google::protobuf::OneofDescriptor* choice = type->oneof_decl(i);
    const size_t pick = source.Below(static_cast<size_t>(choice->field_count()) + 1);
    if (pick < static_cast<size_t>(choice->field_count())) {
      AddValue(source, known, choice->field(static_cast<int>(pick)), message, depth);
    }
  }
}

}  // namespace muster
