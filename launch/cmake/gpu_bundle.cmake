# The archive for trying Weft on a machine that has a GPU with NVIDIA's libraries and nothing else of what Weft needs:
# the program, the test programs with their data, and every library but NVIDIA's and the C run time, Open MPI with its
# plugins included. tests/gpu.sh makes it and, unpacked there, runs it.
include(GNUInstallDirs)
set(nvidia_libraries "^lib(cuda|cublas|cublasLt|cudart|cudnn[a-z_]*|nccl|nvrtc[a-z-]*|nvJitLink)\\.so")

set(bundle_programs gpu_test parallel_test)
if(WEFT_BUILD_BENCHMARKS)
  list(APPEND bundle_programs training_step kernels passes)
endif()
set_target_properties(${bundle_programs} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/weft")
foreach(program weft ${bundle_programs})
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
endforeach()
install(TARGETS weft ${bundle_programs} RUNTIME DESTINATION bin COMPONENT gpu_bundle EXCLUDE_FROM_ALL)
install(DIRECTORY tests DESTINATION . COMPONENT gpu_bundle EXCLUDE_FROM_ALL USE_SOURCE_PERMISSIONS
  PATTERN "*.cpp" EXCLUDE PATTERN "*.hpp" EXCLUDE PATTERN "CMakeLists.txt" EXCLUDE PATTERN "cuda_emulator" EXCLUDE)
install(DIRECTORY configs benchmarks DESTINATION . COMPONENT gpu_bundle EXCLUDE_FROM_ALL USE_SOURCE_PERMISSIONS
  PATTERN "*.cpp" EXCLUDE)
install(PROGRAMS tests/gpu.sh DESTINATION . COMPONENT gpu_bundle EXCLUDE_FROM_ALL)

# Open MPI finds its plugins and messages relative to OPAL_PREFIX, in the folders it was configured with.
get_filename_component(mpi_folder "${MPI_LIBRARY}" REALPATH)
find_program(WEFT_ORTERUN orterun)
find_program(WEFT_ORTED orted)
execute_process(COMMAND ompi_info --path pkglibdir --path pkgdatadir --path prefix --parsable
  OUTPUT_VARIABLE mpi_paths ERROR_QUIET)
foreach(path prefix pkglibdir pkgdatadir)
  string(REGEX MATCH "path:${path}:([^\n]*)" _ "${mpi_paths}")
  set(mpi_${path} "${CMAKE_MATCH_1}")
endforeach()
mark_as_advanced(WEFT_ORTERUN WEFT_ORTED)
install(CODE "
  set(weft \"$<TARGET_FILE:weft>\")
  set(mpi_programs \"${WEFT_ORTERUN}\" \"${WEFT_ORTED}\")
  set(nvidia_libraries [[${nvidia_libraries}]])
  set(mpi_prefix \"${mpi_prefix}\")
  set(mpi_plugins \"${mpi_pkglibdir}\")
  set(mpi_data \"${mpi_pkgdatadir}\")
  set(library_folder \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/weft\")"
  COMPONENT gpu_bundle EXCLUDE_FROM_ALL)
install(SCRIPT launch/cmake/install_open_mpi.cmake COMPONENT gpu_bundle EXCLUDE_FROM_ALL)
