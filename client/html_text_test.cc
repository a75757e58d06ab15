#include "client/html_text.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(EscapedHtml, MakesNoMarkupOfText) {
  EXPECT_EQ(EscapedHtml("<script>alert('x' + \"y\")</script> & co"),
            "&lt;script&gt;alert(&#39;x&#39; + &quot;y&quot;)&lt;/script&gt; &amp; co");
  EXPECT_EQ(EscapedHtml("größer\tals\n您好 🐈"), "größer\tals\n您好 🐈");
}

TEST(EscapedHtml, ShowsWhatReadersWouldNotSee) {
  EXPECT_EQ(EscapedHtml("a\x1b[31mb\x7f\r"), "a\uFFFD[31mb\uFFFD\uFFFD");
  EXPECT_EQ(EscapedHtml("a\u202Eb\u2066c\u200Fd\u009Be\u061Cf\u2028g"), "a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\uFFFDf\uFFFDg");
  EXPECT_EQ(EscapedHtml("a\u2026b\u00A0c"), "a\u2026b\u00A0c") << "an ellipsis and a hard blank are seen";
}

TEST(DeceptiveBytesAt, CountsOnlyWholeCharacters) {
  EXPECT_EQ(DeceptiveBytesAt("\u202E", 0), 3u);
  EXPECT_EQ(DeceptiveBytesAt("\u202E", 1), 0u);
  EXPECT_EQ(DeceptiveBytesAt("\xE2\x80", 0), 0u) << "a text that was cut";
  EXPECT_EQ(DeceptiveBytesAt("", 0), 0u);
}

}  // namespace
}  // namespace muster
