# At the installation of the component gpu_bundle: Open MPI's programs, plugins and messages, and the libraries that
# all programs need. In: weft, mpi_programs, nvidia_libraries, mpi_prefix, mpi_plugins, mpi_data, library_folder.

# Plugins for one host and for plain sockets; fabrics, files and the older interfaces stay out.
file(GLOB plugins "${mpi_plugins}/mca_*.so")
list(FILTER plugins EXCLUDE REGEX "ucx|ofi|openib|mtl_|osc_|io_|fs_|fbtl|fcoll|sharedfp|crs|vprotocol|topo|monitoring|psm|sshmem|memheap|scoll|flux|jsm|pml_cm")

file(GET_RUNTIME_DEPENDENCIES EXECUTABLES "${weft}" ${mpi_programs} MODULES ${plugins}
  RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|resolv|util)\\.so" "${nvidia_libraries}")
list(FILTER missing EXCLUDE REGEX "${nvidia_libraries}")
if(missing)
  message(FATAL_ERROR "the archive would lack: ${missing}")
endif()
foreach(library ${found})
  file(INSTALL "${library}" DESTINATION "${library_folder}" FOLLOW_SYMLINK_CHAIN)
endforeach()

foreach(folder mpi_plugins mpi_data)
  file(RELATIVE_PATH relative "${mpi_prefix}" "${${folder}}")
  set(${folder}_here "${CMAKE_INSTALL_PREFIX}/${relative}")
endforeach()
file(INSTALL ${plugins} DESTINATION "${mpi_plugins_here}")
file(INSTALL "${mpi_data}/" DESTINATION "${mpi_data_here}" FILES_MATCHING PATTERN "*.txt")
file(INSTALL ${mpi_programs} DESTINATION "${CMAKE_INSTALL_PREFIX}/bin" FOLLOW_SYMLINK_CHAIN USE_SOURCE_PERMISSIONS)
file(RENAME "${CMAKE_INSTALL_PREFIX}/bin/orterun" "${CMAKE_INSTALL_PREFIX}/bin/mpirun")
