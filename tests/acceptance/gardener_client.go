// Call a ledger as Gardener's client does: it ends the context of a call before it reads the answer.
//
// Usage: gardener_client URL CALLS. It takes so many jobs, reports each, and prints their ids.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

type target struct {
	ID  string
	Job struct {
		Bucket, Experiment, Datatype string
		Date                         time.Time
	}
}

type client struct {
	api url.URL
}

func (c client) post(name string, parameters url.Values) (*http.Response, error) {
	limited, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel() // before the body is read
	where := c.api
	where.Path = "/v2/job/" + name
	where.RawQuery = parameters.Encode()
	request, err := http.NewRequestWithContext(limited, http.MethodPost, where.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, errors.New(http.StatusText(answer.StatusCode))
	}
	return answer, nil
}

func (c client) next() (target, error) {
	var job target
	answer, err := c.post("next", nil)
	if err != nil {
		return job, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return job, err
	}
	return job, json.Unmarshal(text, &job)
}

func (c client) report(name string, pairs ...string) error {
	parameters := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		parameters.Add(pairs[n], pairs[n+1])
	}
	answer, err := c.post(name, parameters)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func (c client) work(number int) error {
	job, err := c.next()
	if err != nil {
		return fmt.Errorf("next, call %d: %w", number, err)
	}
	if job.ID == "" || job.Job.Date.IsZero() {
		return fmt.Errorf("next, call %d: no job in %+v", number, job)
	}
	fmt.Println(job.ID)
	if number >= 20 {
		return nil
	}
	return errors.Join(
		c.report("update", "id", job.ID, "state", "parsing", "detail", "a & <b> 100%;é"),
		c.report("heartbeat", "id", job.ID),
		c.report("error", "id", job.ID, "error", "broken archive"),
	)
}

func run(api string, calls int) error {
	parsed, err := url.Parse(api)
	if err != nil {
		return err
	}
	c := client{*parsed}
	for number := 0; number < calls; number++ {
		if err := c.work(number); err != nil {
			return err
		}
	}
	if err := c.report("update", "id", "unknown", "state", "parsing"); err == nil || err.Error() != "Gone" {
		return fmt.Errorf("an unknown job: %v", err)
	}
	return nil
}

func main() {
	calls, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = run(os.Args[1], calls)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
