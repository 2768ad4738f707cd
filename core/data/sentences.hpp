// Cuts paragraphs into sentences by rules.
#pragma once

#include <string_view>
#include <vector>

namespace weft {

// Replaces `sentences` by those of one paragraph of valid UTF-8: views into it, without the white
// space around them, none empty. All text but white space is in exactly one of them.
//
// Rules. A sentence ends at a run of end marks with the closing quotes and brackets behind it:
// - 。 ！ ？ ｡ end it wherever they stand;
// - . ! ? … ؟ ۔ । ॥ end it at white space or the paragraph's end, unless the next letter is
//   lower-case or the next sign is one that continues (a comma, a closing bracket ...);
// - a single full stop does not end it after a title or the like (Dr., vs., e.g.), after "No." and
//   the like with a digit behind it, nor after a number that opens the paragraph ("1.
//   Introduction");
// - after an initial (J.), an abbreviation with inner stops (U.S.) or one that may stand last
//   (Inc., etc., Jan.), it ends the sentence only if a word follows that often opens sentences
//   (The, In, However ...).
// A stop inside a number or a word (3.14, example.org) has no white space behind it. The lists are
// English; other languages lose little, since their abbreviations mostly precede lower-case words.
void split_sentences(std::string_view paragraph, std::vector<std::string_view>& sentences);

}  // namespace weft
