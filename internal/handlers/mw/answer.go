package mw

import "github.com/labstack/echo/v4"

// Answer has the error handler answer what failed, and keeps the error for the log and the metrics around
// it. When a part of the answer is out already (a download that breaks off), the connection is cut
// instead, so that nobody takes the part for the whole.
func Answer(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if err == nil {
			return nil
		}
		info := From(c.Request().Context())
		info.Err = err
		if c.Response().Committed {
			info.Broken = true
			return nil
		}
		c.Error(err)
		return nil
	}
}
