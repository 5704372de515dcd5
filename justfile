# Shortcuts for the scripts. `just` lists them; every recipe also works without just.

features := "--features attune/failpoints --features attune/otlp"

_default:
    @just --list --unsorted

# Run the tests that need no server
quick:
    cargo nextest run --locked --workspace {{features}} --profile quick

# Run tests whose name contains a text; needs ATTUNE_TEST_DATABASE_URL for those of services
test-one name:
    cargo build --locked --workspace {{features}} --all-targets
    cargo nextest run --locked --workspace {{features}} -E 'test({{name}})'

# Run every check and every test, on private servers
test:
    ./scripts/test.sh

# Check formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace {{features}} --all-targets -- -D warnings

# Update docs/generated and lower the house rules' lists
generated:
    ATTUNE_UPDATE_GENERATED=1 cargo nextest run --locked --workspace {{features}} --profile quick --no-fail-fast

# Update the cache of checked SQL statements
sqlx:
    ./scripts/sqlx_prepare.sh

# Run everything in one process, with a private PostgreSQL
up *arguments:
    cargo run --profile quick -p attune -- up {{arguments}}

# Check the web UI: types, lints, unit tests, the committed build, browser tests
ui:
    cargo build --locked -p attune {{features}}
    ./scripts/check_ui.sh

# Take the screenshots of docs/images; needs npm and Chromium
screenshots:
    cargo build --locked -p attune {{features}}
    npm --prefix ui run screenshots

# Build and open the API documentation of the crates
docs:
    cargo doc --locked --no-deps --workspace --open

# Inject random faults for a while and verify that nothing is lost or duplicated
chaos *arguments:
    ./scripts/chaos.sh {{arguments}}

# Verify that the tests detect each seeded fault
mutants *names:
    ./scripts/mutants.sh {{names}}

# Compare many processes with one
bench-scale *arguments:
    ./scripts/bench_scale.sh {{arguments}}
