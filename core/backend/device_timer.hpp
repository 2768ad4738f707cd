// How long calls take on a device that does them later than they are issued.
#pragma once

#include <memory>
#include <vector>

namespace weft {

class DeviceTimer {
 public:
  virtual ~DeviceTimer() = default;
  virtual void mark() = 0;  // the moment when all that was issued so far is done
  // Seconds from each mark to the next; waits for the last one, and forgets them all.
  virtual std::vector<double> seconds_between() = 0;
};

// Of GPU `index`; throws Error when there is none.
std::unique_ptr<DeviceTimer> cuda_timer(int index);

}  // namespace weft
