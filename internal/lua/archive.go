package lua

import (
	"archive/zip"
	"context"
	"errors"
	"io"

	"webadmin/internal/kvdb"
)

// Archive writes the uploads and files that run, in the order of their names, as the files of a zip. One program
// at a time is in memory.
func (s *Store) Archive(ctx context.Context, w io.Writer) error {
	z := zip.NewWriter(w)
	for cursor := ""; ; {
		page, err := s.Programs(ctx, Filter{}, cursor, 0)
		if err != nil {
			return err
		}
		for _, p := range page.Items {
			if p.Origin == Builtin || CheckName(p.Name) != nil {
				continue
			}
			if err := s.archive(ctx, z, p.Name); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor == "" {
			return z.Close()
		}
	}
}

func (s *Store) archive(ctx context.Context, z *zip.Writer, name string) error {
	src, err := s.Program(ctx, name)
	if errors.Is(err, kvdb.ErrNotFound) || err == nil && (src.SHA1 == "" || src.Origin == Builtin) {
		return nil // it was there when it was listed
	}
	if err != nil {
		return err
	}
	f, err := z.CreateHeader(&zip.FileHeader{Name: name + ".lua", Method: zip.Deflate, Modified: src.UpdatedAt})
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, src.Text)
	return err
}
