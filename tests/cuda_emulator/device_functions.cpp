// The device functions that need the scheduler: a thread says what it waits for, and yields.
#include "tests/cuda_emulator/device_functions.hpp"

#include <string>

#include "tests/cuda_emulator/block.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/settings.hpp"

namespace cuda_emulator {

namespace {

Thread& running() {
  if (current_thread == nullptr) leave_kernel();  // with a message
  return *current_thread;
}

// Whether a mutation test asks for a kernel without this barrier.
bool dropped(const Site& site) {
  const Settings& s = settings();
  return s.dropped_line != 0 && site.line() == s.dropped_line &&
         std::string_view(site.file_name()).ends_with(s.dropped_file);
}

// `caller` is the instruction after the call of device code.
std::uint64_t wait_for_warp(WarpPrimitive primitive, unsigned mask, std::uint64_t value,
                            unsigned from, const Site& site, const void* caller) {
  Thread& t = running();
  const dim3& b = t.block->grid().block;
  t.site = site;
  t.caller = caller;
  const unsigned lanes = b.x * b.y * b.z - t.warp() * kWarp;
  if ((mask >> t.lane() & 1) == 0) {
    leave_kernel();
    fail_in_kernel(t, "a lane is not in the mask of its own warp primitive, at " + place_of(t));
  }
  if (lanes < kWarp && mask >> lanes != 0) {
    leave_kernel();
    fail_in_kernel(t, "the mask of a warp primitive names lanes that the block does not have, at " +
                          place_of(t));
  }
  t.primitive = primitive;
  t.mask = mask;
  t.value = value;
  t.from = from;
  t.state = Thread::State::at_warp_primitive;
  t.fibre->yield();
  return t.result;
}

int wait_for_block(int value, const Site& site, const void* caller) {
  Thread& t = running();
  t.value = static_cast<std::uint64_t>(value);
  t.site = site;
  t.caller = caller;
  t.state = Thread::State::at_block_barrier;
  t.fibre->yield();
  return static_cast<int>(t.result);
}

}  // namespace

uint3 thread_index() { return running().index; }
uint3 block_index() { return running().block->index(); }
dim3 block_dim() { return running().block->grid().block; }
dim3 grid_dim() { return running().block->grid().grid; }
unsigned lane_index() { return running().lane(); }

std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned from, const Site& site) {
  return wait_for_warp(WarpPrimitive::shuffle, mask, value, from, site,
                       __builtin_return_address(0));
}

unsigned vote(unsigned mask, bool predicate, const Site& site) {
  const unsigned lane = running().lane();
  return static_cast<unsigned>(wait_for_warp(WarpPrimitive::vote, mask, predicate ? 1 : 0, lane,
                                             site, __builtin_return_address(0)));
}

int block_sum(int value, const Site& site) {
  return wait_for_block(value, site, __builtin_return_address(0));
}

void* dynamic_shared_memory() {
  const Thread& t = running();
  if (t.block->dynamic_shared() == nullptr)
    fail_in_kernel(leave_kernel(), "the launch gives no dynamic shared memory");
  return t.block->dynamic_shared();
}

}  // namespace cuda_emulator

void __syncthreads(std::source_location site) {
  if (!cuda_emulator::dropped(site))
    cuda_emulator::wait_for_block(0, site, __builtin_return_address(0));
}

void __syncwarp(unsigned mask, std::source_location site) {
  if (cuda_emulator::dropped(site)) return;
  const unsigned lane = cuda_emulator::running().lane();
  cuda_emulator::wait_for_warp(cuda_emulator::WarpPrimitive::barrier, mask, 0, lane, site,
                               __builtin_return_address(0));
}

void __threadfence() { cuda_emulator::running().block->grid().fenced = true; }

void __trap() { cuda_emulator::fail_in_kernel(cuda_emulator::leave_kernel(), "__trap()"); }
