-- The database's clock, as before the only place that reads it, stable, and replaced by tests to move time.
-- In PL/pgSQL, because PostgreSQL plans the body of a function in SQL anew for every place where a statement calls it
-- (a stable one over a volatile one cannot be inlined): about 11 µs for each place and 1.2 µs for each row, against 1 µs and
-- 0.15 µs. An execution passes 15 such places on its way.
create or replace function db_now() returns timestamptz
    language plpgsql stable parallel safe
    as 'begin return clock_timestamp(); end';
