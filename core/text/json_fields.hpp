// Typed access to the fields of a JSON object, with errors that name the place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace weft {

// An object of a file; `where` is "FILE: path.to.object".
class JsonFields {
 public:
  JsonFields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json_.is_object()) throw InputError(where_ + " is not a JSON object");
  }

  // Null when absent or null.
  const Json* find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  const Json& at(const char* key) const {
    if (const Json* value = find(key)) return *value;
    throw InputError(where_ + " has no \"" + key + "\"");
  }
  JsonFields object(const char* key) const { return {at(key), path(key)}; }

  std::string string(const char* key) const { return typed<std::string>(key, "a string"); }
  std::string string(const char* key, const char* otherwise) const {
    return find(key) ? string(key) : otherwise;
  }
  bool boolean(const char* key, bool otherwise) const {
    return find(key) ? typed<bool>(key, "true or false") : otherwise;
  }
  std::int64_t integer(const char* key) const {
    if (!at(key).is_number_integer() || at(key) > Json(std::int64_t{1} << 53)) {
      throw InputError(path(key) + " is not a whole number");
    }
    return at(key).get<std::int64_t>();
  }
  std::int64_t integer(const char* key, std::int64_t otherwise) const {
    return find(key) ? integer(key) : otherwise;
  }

  std::string path(const std::string& key) const {
    return where_ + (where_.ends_with(": ") ? "" : ".") + key;
  }
  const std::string& where() const { return where_; }

 private:
  template <class T>
  T typed(const char* key, const char* what) const {
    const Json& value = at(key);
    const bool fits = std::is_same_v<T, bool> ? value.is_boolean() : value.is_string();
    if (!fits) throw InputError(path(key) + " is not " + what);
    return value.get<T>();
  }

  const Json& json_;
  std::string where_;
};

}  // namespace weft
