// The positions of the heads of queries, keys and values in a row.
#pragma once

#include "worker/rank/model/attention_ops.h"

namespace muster {

struct AttentionLayout {
  AttentionLayout(const at::Tensor& qkv, const AttentionForm& form)
      : heads(form.heads), key_value_heads(form.KeyValueHeads()), d(qkv.size(1) / (heads + 2 * key_value_heads)) {
    TORCH_CHECK(d * (heads + 2 * key_value_heads) == qkv.size(1) && heads % key_value_heads == 0, "attention: rows of ",
                qkv.size(1), " numbers for ", heads, " heads and ", key_value_heads, " of keys and values");
  }
  int64_t heads, key_value_heads, d;
  int64_t keys() const { return heads * d; }  // first column
  int64_t values() const { return (heads + key_value_heads) * d; }
  int64_t out_width() const { return heads * d; }
};

}  // namespace muster
