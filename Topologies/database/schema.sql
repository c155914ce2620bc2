-- After a restart of the server all of this is there.
select exists (select from pg_database where datname = 'shop') as made \gset
\if :made
    \quit
\endif

create database shop;
\connect shop

-- What customers work with.
create role shop login password :'password';
create table goods (name text primary key, stock int not null check (stock >= 0));
insert into goods values ('apples', 100), ('pears', 50);
grant select, update on goods to shop;

-- What the analyser saw: a row without a query is the beginning of a connection.
create role analyser login password :'password';
create table seen (at timestamptz not null default now(), customer inet, service inet, port int, query text);
grant insert on seen to analyser;

-- The product: what a customer may know of that.
create role report login password :'password';
create view report as
    select customer,
        count(*) filter (where query is null and port = 5432) as connections,
        count(query) as queries,
        count(*) filter (where query ~* '^\s*(insert|update|delete)') as changes,
        count(*) filter (where port <> 5432) as attempts
    from seen group by customer order by customer;
grant select on report to report;
