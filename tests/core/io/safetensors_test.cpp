// Reading and writing safetensors against files of the reference library.
#include "core/io/safetensors.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/safetensors_writer.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;

const std::string kData = std::string(WEFT_TEST_DIR) + "/data/safetensors/";
const std::string kOddName = "na\xC3\xAFve \"quoted\"\n\t\\ \xE5\x90\x8D\xE5\x89\x8D \x01\x7F";

std::vector<float> values(const SafetensorsFile& f, const std::string& name) {
  const Tensor t = f.read(f.at(name));
  return {t.data<float>(), t.data<float>() + t.numel()};
}

TEST(Safetensors, ReadsEveryFloatingDtype) {
  const SafetensorsFile f(kData + "every_dtype.safetensors");
  EXPECT_EQ(f.tensors().size(), 13U);
  EXPECT_EQ(f.at("z.f32").shape_str(), "[2, 3]");
  EXPECT_EQ(values(f, "z.f32"), (std::vector<float>{-1.75F, -1, -0.25F, 0.5F, 1.25F, 2}));
  EXPECT_EQ(f.read(f.at("a.f32")).shape(), Shape({}));
  EXPECT_EQ(values(f, "a.f32"), std::vector<float>{-7});
  EXPECT_EQ(f.read(f.at("empty")).shape(), Shape({0, 5}));
  EXPECT_EQ(values(f, kOddName), (std::vector<float>{-7, -4}));
  const float inf = std::numeric_limits<float>::infinity();
  const auto half = values(f, "half");
  EXPECT_EQ(half, (std::vector<float>{1.5F, -0.0F, 65504, 0x1p-24F, inf}));
  EXPECT_TRUE(std::signbit(half[1]));
  // 3e38 and 1e-40 as bfloat16 rounds them: 0x7F62, and the subnormal 0x0001.
  EXPECT_EQ(values(f, "brain"), (std::vector<float>{1.5F, -2, 0x1.c4p+127F, 0x1p-133F}));
  EXPECT_EQ(values(f, "double"), (std::vector<float>{0x1.555556p-2F, -inf, 2}));
}

TEST(Safetensors, ReadsIntegersAndRawBytes) {
  const SafetensorsFile f(kData + "every_dtype.safetensors");
  const Tensor ids = f.read(f.at("ids"));
  ASSERT_EQ(ids.dtype(), DType::i32);
  EXPECT_EQ(std::vector<std::int32_t>(ids.data<std::int32_t>(), ids.data<std::int32_t>() + 4),
            (std::vector<std::int32_t>{-7, -4, -1, 2}));
  EXPECT_EQ(f.read(f.at("i32")).data<std::int32_t>()[2], -1);
  EXPECT_EQ(f.read(f.at("u8")).data<std::uint8_t>()[2], 255);
  EXPECT_EQ(f.read(f.at("flags")).data<std::uint8_t>()[2], 1);
  EXPECT_EQ(f.bytes(f.at("i16")).size(), 6U);
  std::int16_t last = 0;
  std::memcpy(&last, f.bytes(f.at("i16")).data() + 4, 2);
  EXPECT_EQ(last, -1);
}

TEST(Safetensors, ReadsSlices) {
  const SafetensorsFile f(kData + "every_dtype.safetensors");
  std::vector<float> out(2);
  f.read_f32(f.at("z.f32"), 3, out);
  EXPECT_EQ(out, (std::vector<float>{0.5F, 1.25F}));
  f.read_f32(f.at("half"), 1, out);
  EXPECT_EQ(out[1], 65504);
  f.read_f32(f.at("double"), 2, std::span(out).first(1));
  EXPECT_EQ(out[0], 2);
}

TEST(Safetensors, NamesWhatItCannotGive) {
  const SafetensorsFile f(kData + "every_dtype.safetensors");
  const std::string file = kData + "every_dtype.safetensors";
  EXPECT_EQ(error_of([&] { f.at("doubel"); }), file + ": no tensor \"doubel\"");
  try {
    f.at("doubel");
  } catch (const InputError& e) {
    EXPECT_EQ(e.hint(), "the nearest name there is double");
  }
  EXPECT_EQ(error_of([&] { f.read(f.at("i8")); }), file + ": tensor \"i8\" is I8");
  EXPECT_EQ(f.find("nothing"), nullptr);
}

TEST(Safetensors, RefusesWhatOurTensorsCannotHold) {
  ScratchDir dir;
  const auto file = dir / "x.safetensors";
  {
    SafetensorsWriter w(file, {{"big", "I64", {1}}});
    const std::int64_t big = std::int64_t{1} << 31;
    w.write(std::as_bytes(std::span(&big, 1)));
    w.finish();
  }
  const SafetensorsFile f(file);
  EXPECT_EQ(error_of([&] { f.read(f.at("big")); }),
            file.string() + ": tensor \"big\" holds 2147483648, which 32 bits do not");
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}}      )";
  put(file, std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header +
                std::string(4, '\0'));
  const SafetensorsFile seven(file);
  EXPECT_EQ(seven.at("a").numel(), 1U);
  EXPECT_EQ(error_of([&] { seven.read(seven.at("a")); }),
            file.string() + ": tensor \"a\" has 7 dims; Weft reads at most 6");
}

// Reads a reference file and writes it again.
void copy(const std::string& from, const std::filesystem::path& to) {
  const SafetensorsFile f(from);
  std::vector<TensorSpec> specs;
  for (auto t = f.tensors().rbegin(); t != f.tensors().rend(); ++t) {  // any order will do
    const std::vector<std::int64_t> dims(t->dims.begin(), t->dims.end());
    specs.push_back({t->name, t->dtype, Shape(dims)});
  }
  SafetensorsWriter writer(to, specs, f.header().metadata);
  for (const TensorSpec& spec : writer.tensors()) {
    const auto bytes = f.bytes(f.at(spec.name));
    writer.write(bytes.first(bytes.size() / 2));  // pieces may end anywhere
    writer.write(bytes.subspan(bytes.size() / 2));
  }
  const WrittenFile written = writer.finish();
  EXPECT_EQ(written.name, to.filename().string());
  EXPECT_EQ(written.size, std::filesystem::file_size(to));
  EXPECT_EQ(written.xxh3_128, xxh3_128_hex_file(to));
}

TEST(SafetensorsWriter, WritesTheReferencesBytes) {
  ScratchDir dir;
  for (const char* name : {"every_dtype", "no_metadata", "empty"}) {
    copy(kData + name + ".safetensors", dir / name);
    EXPECT_EQ(read_file(dir / name), read_file(kData + name + ".safetensors")) << name;
  }
}

TEST(SafetensorsWriter, WritesWholeTensors) {
  ScratchDir dir;
  Tensor b({2}, DType::f32);
  b.data<float>()[0] = 1;
  b.data<float>()[1] = 2;
  Tensor a({0, 3}, DType::f32);
  Tensor ids({1}, DType::i32);
  ids.data<std::int32_t>()[0] = 9;
  write_safetensors(dir / "x", {{"b", b}, {"ids", ids}, {"a", a}});
  const SafetensorsFile f(dir / "x");
  EXPECT_EQ(f.tensors()[0].name, "a");
  EXPECT_EQ(f.tensors()[1].name, "b");
  EXPECT_EQ(f.tensors()[2].name,
            "ids");  // I32 comes before F32 in the format's list, so later here
  EXPECT_EQ(values(f, "b"), (std::vector<float>{1, 2}));
  EXPECT_THROW(write_safetensors(dir / "x", {{"b", b}, {"b", a}}), Error);
}

TEST(SafetensorsWriter, RowsInAnyOrderMakeTheSameFile) {
  const ScratchDir dir;
  Tensor wide(Shape({5, 2, 3}), DType::f32);
  Tensor ids(Shape({5}), DType::i32);
  for (int i = 0; i < 30; ++i) wide.data<float>()[i] = static_cast<float>(i);
  for (int i = 0; i < 5; ++i) ids.data<std::int32_t>()[i] = 7 * i;
  write_safetensors(dir / "whole", {{"wide", wide}, {"ids", ids}});
  {
    OutputFile file(dir / "rows");
    SafetensorsRowWriter writer(file, {{"wide", "F32", wide.shape()}, {"ids", "I32", ids.shape()}});
    for (const std::int64_t first : {2, 0, 4}) {
      const std::int64_t count = first == 4 ? 1 : 2;
      writer.write("ids", ids.narrow(first, count), first);
      writer.write("wide", wide.narrow(first, count), first);
    }
    file.finish();
  }
  EXPECT_EQ(read_file(dir / "rows"), read_file(dir / "whole"));
}

TEST(SafetensorsWriter, MissingDataIsAnError) {
  ScratchDir dir;
  SafetensorsWriter w(dir / "x", {{"a", "F32", {2}}});
  const float one = 1;
  w.write(std::as_bytes(std::span(&one, 1)));
  EXPECT_NE(error_of([&] { w.finish(); }).find("bytes written, its header promises"),
            std::string::npos);
}

}  // namespace
}  // namespace weft
