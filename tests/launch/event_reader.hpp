// A reader of TensorBoard event files that checks every length and checksum; independent of the
// writer: its CRC goes bit by bit.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

struct ReadEvent {
  double wall_time = 0;
  std::int64_t step = 0;
  std::string file_version;
  bool session_start = false;
  std::vector<std::pair<std::string, float>> scalars;
};

namespace event_reader {

inline std::uint32_t masked_crc(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82F63B78U & (0U - (crc & 1U)));
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

// Cuts values off the front of a message.
class Cursor {
 public:
  explicit Cursor(std::string_view rest) : rest_(rest) {}
  bool done() const { return rest_.empty(); }

  std::string_view take(std::uint64_t n) {
    if (n > rest_.size()) throw Error("event file: cut short");
    const std::string_view part = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return part;
  }
  template <class T>
  T raw() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    throw Error("event file: endless varint");
  }
  std::string_view bytes() { return take(varint()); }

 private:
  std::string_view rest_;
};

// Value {1 tag, 2 simple_value}
inline std::pair<std::string, float> read_value(std::string_view message) {
  std::pair<std::string, float> value;
  for (Cursor c(message); !c.done();) {
    switch (c.varint()) {
      case 1 << 3 | 2:
        value.first = c.bytes();
        break;
      case 2 << 3 | 5:
        value.second = c.raw<float>();
        break;
      default:
        throw Error("event file: unknown field of a value");
    }
  }
  return value;
}

inline ReadEvent read_event(std::string_view message) {
  ReadEvent event;
  for (Cursor c(message); !c.done();) {
    switch (c.varint()) {
      case 1 << 3 | 1:
        event.wall_time = c.raw<double>();
        break;
      case 2 << 3 | 0:
        event.step = static_cast<std::int64_t>(c.varint());
        break;
      case 3 << 3 | 2:
        event.file_version = c.bytes();
        break;
      case 5 << 3 | 2:
        for (Cursor s(c.bytes()); !s.done();) {
          if (s.varint() != (1 << 3 | 2)) throw Error("event file: unknown field of a summary");
          event.scalars.push_back(read_value(s.bytes()));
        }
        break;
      case 7 << 3 | 2:
        event.session_start = c.bytes() == std::string_view("\x08\x01", 2);
        break;
      default:
        throw Error("event file: unknown field of an event");
    }
  }
  return event;
}

}  // namespace event_reader

// Throws Error for anything but whole frames with right checksums.
inline std::vector<ReadEvent> read_events(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  std::vector<ReadEvent> events;
  for (event_reader::Cursor c(file); !c.done();) {
    const std::string_view length = c.take(8);
    if (c.raw<std::uint32_t>() != event_reader::masked_crc(length)) {
      throw Error("event file: checksum of a length");
    }
    std::uint64_t n = 0;
    std::memcpy(&n, length.data(), sizeof n);
    const std::string_view data = c.take(n);
    if (c.raw<std::uint32_t>() != event_reader::masked_crc(data)) {
      throw Error("event file: checksum of an event");
    }
    events.push_back(event_reader::read_event(data));
  }
  return events;
}

}  // namespace weft
