// Every step of a client of Orchflow, by the package that oapi-codegen has made of /openapi.json.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strings"

	"github.com/oapi-codegen/runtime/types"
	"orchflow-client/api"
)

var ctx = context.Background()

func expect(holds bool, what string, seen any) {
	if !holds {
		log.Fatalf("%s: %+v", what, seen)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return value
}

func p[T any](value T) *T { return &value }

func main() {
	url := os.Getenv("ORCHFLOW_URL")
	email := types.Email(fmt.Sprintf("oapi.codegen.%d@example.com", rand.Int()))
	nobody := must(api.NewClientWithResponses(url))
	registered := must(nobody.RegisterAccountWithResponse(ctx, api.Register{Name: "Ada", Email: email}))
	key := registered.JSON201.ApiKey
	client := must(api.NewClientWithResponses(url, api.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("X-API-Key", key)
		return nil
	})))
	run_id := answerGate(client)
	refusals(client, run_id)
	gates(client)
	pages(client)
	orchestration(client)
	definition(client)
	events := must(client.FollowRunWithResponse(ctx, run_id, nil))
	expect(strings.Contains(string(events.Body), "event: run.completed"), "the events", string(events.Body))
}

func readRun(client *api.ClientWithResponses, run_id string) *api.Run {
	return must(client.GetRunWithResponse(ctx, run_id, &api.GetRunParams{Wait: p[float32](30)})).JSON200
}

func answerGate(client *api.ClientWithResponses) string {
	var budget api.CreateRun_AskMeAbout_Item
	expect(budget.FromCreateRunAskMeAbout0("the budget") == nil, "a question as a text", budget)
	goal := api.CreateRun{Task: "Compare three note apps.", AskMeAbout: &[]api.CreateRun_AskMeAbout_Item{budget}}
	run_id := must(client.CreateRunWithResponse(ctx, nil, goal)).JSON201.RunId
	run := readRun(client, run_id)
	for len(run.WaitingTasks) == 0 {
		run = readRun(client, run_id)
	}
	answer := api.CompleteTask{Output: p("Ten euros."), GateId: &run.Tasks[0].Gate.GateId}
	taken := must(client.CompleteTaskWithResponse(ctx, run_id, "T1", nil, answer))
	expect(taken.JSON200.Decision == "approve", "the answer", string(taken.Body))
	for run.Status != "completed" {
		expect(run.Status != "failed", "the run", run.Error)
		run = readRun(client, run_id)
	}
	expect(*run.FinalOutput != "" && run.CompletedAt.After(run.CreatedAt), "the run", run)
	return run_id
}

func refusals(client *api.ClientWithResponses, run_id string) {
	again := must(client.CompleteTaskWithResponse(ctx, run_id, "T1", nil, api.CompleteTask{Output: p("Twenty.")}))
	standing := again.ApplicationproblemJSON409
	expect(*standing.Answer.Output == "Ten euros." && *standing.TaskStatus == "completed", "the 409", string(again.Body))
	empty := must(client.CreateRunWithResponse(ctx, nil, api.CreateRun{Task: " "}))
	faults := *empty.ApplicationproblemJSON422.Errors
	expect(faults[0].Pointer == "/task", "the 422", string(empty.Body))
}

func gates(client *api.ClientWithResponses) {
	var plain, own api.CreateRun_HumanGates_Item
	expect(plain.FromCreateRunHumanGates0("legal approval") == nil, "a gate as a text", plain)
	expect(own.FromHumanGate(api.HumanGate{Name: "the price", GateDueIn: p("1d")}) == nil, "a gate", own)
	goal := api.CreateRun{Task: "Set a price.", HumanGates: &[]api.CreateRun_HumanGates_Item{plain, own}}
	run_id := must(client.CreateRunWithResponse(ctx, nil, goal)).JSON201.RunId
	run := must(client.GetRunWithResponse(ctx, run_id, nil)).JSON200
	gate := must(run.HumanGates[1].AsHumanGateOfRun())
	expect(*gate.GateDueIn == "1d", "the gate", gate)
	cancelled := must(client.CancelRunWithResponse(ctx, run_id, nil))
	expect(cancelled.JSON200.Status == "cancelled", "the cancel", string(cancelled.Body))
}

func pages(client *api.ClientWithResponses) {
	first := must(client.ListRunsWithResponse(ctx, &api.ListRunsParams{Limit: p(1)})).JSON200
	second := must(client.ListRunsWithResponse(ctx, &api.ListRunsParams{Limit: p(1), Cursor: first.NextCursor})).JSON200
	expect(!second.HasMore && first.Runs[0].RunId != second.Runs[0].RunId, "the pages", second)
}

func orchestration(client *api.ClientWithResponses) {
	start := api.StartOrchestration{Message: "Note apps"}
	ran := must(client.RunOrchestrationWithResponse(ctx, "orch-research-report", nil, start))
	paused, is := must(ran.JSON200.ValueByDiscriminator()).(api.OrchestrationPaused)
	expect(is && paused.HumanInputRequired.Prompt != "", "the pause", string(ran.Body))
	var response any = map[string]any{"decision": "approve"}
	answer := api.ResumeOrchestration{Response: &response}
	resumed := must(client.ResumeOrchestrationRunWithResponse(ctx, paused.RunId, nil, answer))
	ended, is := must(resumed.JSON200.ValueByDiscriminator()).(api.OrchestrationEnded)
	expect(is && ended.Status == "completed" && len(ended.SharedState) > 0, "the end", string(resumed.Body))
	params := api.RunOrchestrationParams{Wait: p[float32](0)}
	goesOn := must(client.RunOrchestrationWithResponse(ctx, "orch-research-report", &params, start))
	running, is := must(goesOn.JSON202.ValueByDiscriminator()).(api.OrchestrationGoesOn)
	expect(is && running.RunId != "", "the 202", string(goesOn.Body))
}

func definition(client *api.ClientWithResponses) {
	var ask, end api.OrchestrationDefinition_Steps_Item
	fields := []api.HumanField{{Name: "size", Type: p(api.HumanFieldTypeNumber)}}
	err := ask.FromHumanStep(api.HumanStep{Id: "ask", Name: "Ask", Type: "human", HumanFields: &fields, NextStepId: p("end")})
	expect(err == nil, "a step", err)
	expect(end.FromEndStep(api.EndStep{Id: "end", Name: "End", Type: "end"}) == nil, "a step", end)
	steps := []api.OrchestrationDefinition_Steps_Item{ask, end}
	body := api.OrchestrationDefinition{Name: "Ask", EntryStepId: "ask", Steps: steps}
	created := must(client.CreateOrchestrationWithResponse(ctx, nil, body))
	expect(created.JSON201 != nil && len(created.JSON201.Steps) == 2, "the definition", string(created.Body))
}
