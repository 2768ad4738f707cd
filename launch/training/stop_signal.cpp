// Requests to stop.
#include "launch/training/stop_signal.hpp"

#include <csignal>
#include <initializer_list>

namespace weft {

namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int number) {
  if (number == SIGINT && received == SIGINT) {  // asked twice: now
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  received = number;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // system calls of file writers go on
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaction(number, &action, nullptr);
}

bool stop_requested() { return received != 0; }

const char* stop_signal_name() {
  switch (received) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "";
  }
}

}  // namespace weft
