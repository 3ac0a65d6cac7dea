package plane

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// reservation keeps a port of 127.0.0.1 for the API server while the API
// server is down: a bound socket that never listens. Clients are refused as if
// nobody were there, the kernel gives the port to nobody else, and the API
// server may bind it beside us because both sides set SO_REUSEPORT.
type reservation struct {
	fd   int
	port int
}

// reserve takes port, or a free one if port is 0.
func reserve(port int) (*reservation, error) {
	if port != 0 {
		// SO_REUSEPORT would let two control planes share a port unnoticed; a
		// plain listener is refused if anybody has it.
		probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, fmt.Errorf("port %d is not free; choose another or --port 0: %w", port, err)
		}
		if err := probe.Close(); err != nil {
			return nil, fmt.Errorf("probing port %d: %w", port, err)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket to reserve a port: %w", err)
	}
	taken, err := bindShared(fd, port)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reserving port %d of 127.0.0.1: %w", port, err)
	}
	return &reservation{fd: fd, port: taken}, nil
}

func (r *reservation) close() {
	_ = unix.Close(r.fd)
}

func bindShared(fd, port int) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	address, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("the kernel answers with an address of another family: %T", name)
	}
	return address.Port, nil
}
