// TensorBoard event files. Format: tensorboard's record_writer and event.proto.
#include "launch/training/event_file.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/host.hpp"

namespace weft {

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1U) != 0 ? (c >> 1) ^ 0x82F63B78U : c >> 1;
    table[i] = c;
  }
  return table;
}

template <class T>
void append_raw(std::string& s, T value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  s.append(bytes, sizeof value);
}

// Protobuf wire format: varints, 32- and 64-bit numbers, length-delimited fields.
void append_varint(std::string& s, std::uint64_t x) {
  while (x >= 0x80) {
    s += static_cast<char>((x & 0x7F) | 0x80);
    x >>= 7;
  }
  s += static_cast<char>(x);
}
enum WireType : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
void append_key(std::string& s, std::uint64_t field, WireType type) {
  append_varint(s, field << 3 | type);
}
void append_bytes(std::string& s, std::uint64_t field, std::string_view value) {
  append_key(s, field, WireType::bytes);
  append_varint(s, value.size());
  s += value;
}
void append_double(std::string& s, std::uint64_t field, double value) {
  append_key(s, field, WireType::fixed64);
  append_raw(s, value);
}
void append_integer(std::string& s, std::uint64_t field, std::int64_t value) {
  append_key(s, field, WireType::varint);
  append_varint(s, static_cast<std::uint64_t>(value));
}

// Event {1 wall_time, 2 step}.
std::string event_head(double wall_time, std::int64_t step) {
  std::string s;
  append_double(s, 1, wall_time);
  append_integer(s, 2, step);
  return s;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::filesystem::path new_file(const std::filesystem::path& dir) {
  static int number = 0;
  std::filesystem::create_directories(dir);
  return dir / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", static_cast<std::int64_t>(now()),
                           host_name(), getpid(), number++);
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t c = 0xFFFFFFFFU;
  for (const char byte : data)
    c = kTable[(c ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (c >> 8);
  return c ^ 0xFFFFFFFFU;
}

std::uint32_t masked_crc32c(std::string_view data) {
  return std::rotr(crc32c(data), 15) + 0xA282EAD8U;
}

EventWriter::EventWriter(const std::filesystem::path& dir, std::int64_t first_step)
    : file_(new_file(dir)) {
  const double time = now();
  std::string version = event_head(time, 0);
  append_bytes(version, 3, "brain.Event:2");
  frame(version);
  if (first_step == 0) return;
  // session_log {1 status: START}: readers drop what earlier files have from this step on.
  std::string session;
  append_integer(session, 1, 1);
  std::string start = event_head(time, first_step + 1);
  append_bytes(start, 7, session);
  frame(start);
}

void EventWriter::write(std::int64_t step, double wall_time, const Scalars& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;  // Value {1 tag, 2 simple_value}
    append_bytes(entry, 1, tag);
    append_key(entry, 2, WireType::fixed32);
    append_raw(entry, static_cast<float>(value));
    append_bytes(summary, 1, entry);
  }
  std::string event = event_head(wall_time, step);
  append_bytes(event, 5, summary);
  frame(event);
}

void EventWriter::frame(const std::string& event) {
  std::string out;
  append_raw(out, static_cast<std::uint64_t>(event.size()));
  append_raw(out, masked_crc32c(out));
  out += event;
  append_raw(out, masked_crc32c(event));
  file_.append(out);
}

}  // namespace weft
